"""An indexed binary heap over dense numbers: the smallest (key, tie) is on top.

The heap is four arrays owned by the caller, so that compiled loops can hold several:
`items` int32[n] (heap order), `where` int32[n] (place of each item, -1 outside), `key`
float64[n] and `tie` int64[n] (by item). Each function returns the new count of items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled


class Heap(NamedTuple):
    """The arrays of one heap; they are modified in place."""

    items: NDArray[np.int32]
    where: NDArray[np.int32]
    key: NDArray[np.float64]
    tie: NDArray[np.int64]


@compiled
def empty_heap(size: int) -> Heap:
    """Return a heap that can hold the numbers below `size`."""
    return Heap(
        np.zeros(size, np.int32),
        np.full(size, -1, np.int32),
        np.zeros(size),
        np.zeros(size, np.int64),
    )


@compiled
def _before(heap: Heap, a: int, b: int) -> bool:
    ka, kb = heap.key[a], heap.key[b]
    return bool(ka < kb or (ka == kb and heap.tie[a] < heap.tie[b]))


@compiled
def _settle(heap: Heap, count: int, place: int) -> None:
    """Move the item at `place` up or down to where it belongs."""
    items, where = heap.items, heap.where
    item = items[place]
    while place > 0:
        parent = (place - 1) >> 1
        if not _before(heap, item, items[parent]):
            break
        items[place] = items[parent]
        where[items[place]] = place
        place = parent
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and _before(heap, items[child + 1], items[child]):
            child += 1
        if not _before(heap, items[child], item):
            break
        items[place] = items[child]
        where[items[place]] = place
        place = child
    items[place] = item
    where[item] = place


@compiled
def put(heap: Heap, count: int, item: int, key: float, tie: int) -> int:
    """Add an item, or change the key of one that is in the heap."""
    heap.key[item] = key
    heap.tie[item] = tie
    place = heap.where[item]
    if place < 0:
        place = count
        heap.items[place] = item
        count += 1
    _settle(heap, count, place)
    return count


@compiled
def take(heap: Heap, count: int, item: int) -> int:
    """Remove an item that is in the heap."""
    place = heap.where[item]
    heap.where[item] = -1
    count -= 1
    if place < count:
        heap.items[place] = heap.items[count]
        _settle(heap, count, place)
    return count

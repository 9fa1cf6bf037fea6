"""State besides what a link carries from host memory: what is read from storage, and adapters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled
from scalesim.policies.replay.hints import Hints
from scalesim.policies.replay.orders.lru import lru


class HostTier(NamedTuple):
    """Host memory that does not hold every agent's state; storage does.

    Attributes:
        capacity: Bytes.
        read_s: float64[agents], seconds from storage.
    """

    capacity: int
    read_s: NDArray[np.float64]


class Adapters(NamedTuple):
    """LoRA adapters in slots.

    Attributes:
        of: int32[agents], whose number is whose.
        slots: How many are on the device.
        link_s: Seconds of one on the link.
        start_s: Seconds of starting its copies, in which the link is free.
    """

    of: NDArray[np.int32]
    slots: int
    link_s: float
    start_s: float = 0.0

    @property
    def number(self) -> int:
        """How many there are."""
        return int(self.of.max(initial=-1)) + 1


class Copies(NamedTuple):
    """What each request waits for where nothing is fetched ahead, float64[n] seconds.

    Attributes:
        read_s: For what is read from storage.
        load_s: For what is copied from host memory.
        adapter_s: For its adapter.
        adapter_link_s: For its adapter, those on the link alone.
    """

    read_s: NDArray[np.float64]
    load_s: NDArray[np.float64]
    adapter_s: NDArray[np.float64]
    adapter_link_s: NDArray[np.float64]


def copies(
    agent: NDArray[np.int32],
    hits: NDArray[np.bool_],
    sizes: NDArray[np.int64],
    load_s: NDArray[np.float64],
    host: HostTier | None,
    adapters: Adapters | None,
) -> Copies:
    """Return what requests wait for, host tier and slots being kept by recency.

    Args:
        agent: int32[n] of the requests.
        hits: bool[n], on the device.
        sizes: int64[agents], bytes.
        load_s: float64[agents].
        host: None holds all.
        adapters: None if there are none.
    """
    none = np.zeros(len(agent))
    read_s = adapter_s = adapter_link_s = none
    if host is not None:
        read = ~hits & ~lru(agent, sizes, host.capacity)
        read_s = np.where(read, host.read_s[agent], 0.0)
    if adapters is not None:
        asked = adapters.of[agent]
        absent = ~lru(asked, np.ones(adapters.number, np.int64), adapters.slots)
        adapter_link_s = np.where(absent, adapters.link_s, 0.0)
        adapter_s = np.where(absent, adapters.link_s + adapters.start_s, 0.0)
    return Copies(read_s, np.where(hits, 0.0, load_s[agent]), adapter_s, adapter_link_s)


def adapter_hints(hints: Hints, adapters: Adapters) -> Hints:
    """Return hints of adapters: each is due when the first of its agents is."""
    order = np.argsort(adapters.of, kind="stable").astype(np.int64)
    begins = np.searchsorted(adapters.of[order], np.arange(adapters.number + 1))
    due = _first_due(hints.agent, hints.due, adapters.of, order, begins)
    return Hints(hints.at, adapters.of[hints.agent], due)


@compiled
def _first_due(
    agent: NDArray[np.int32],
    due: NDArray[np.float64],
    of: NDArray[np.int32],
    order: NDArray[np.int64],
    begins: NDArray[np.int64],
) -> NDArray[np.float64]:
    said = np.full(len(of), np.inf)
    first = np.empty(len(due))
    for row in range(len(due)):
        said[agent[row]] = due[row]
        adapter = of[agent[row]]
        first[row] = np.inf
        for place in range(begins[adapter], begins[adapter + 1]):
            first[row] = min(first[row], said[order[place]])
    return first

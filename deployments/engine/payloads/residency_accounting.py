"""How much of an agent's prefixes is where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from scalesim.deployments.engine.payloads.prefix_tree import Extent
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.vocabulary import Residency

ROWS_A_PASS = 16
"""Most rows reported together, a tenth of a millisecond."""

ROWS_AGAIN_A_PASS = 8
"""Most of these rows that did not change: after a resync the rest comes later."""


class ChangedAgents:
    """Agents that are to be reported again: first in, first out, each once."""

    def __init__(self) -> None:
        self._keys: dict[int, None] = {}
        self._again: list[int] = []

    def __len__(self) -> int:
        return len(self._keys) + len(self._again)

    def add(self, key: int) -> None:
        """Note an agent; one that waits already keeps its place."""
        self._keys[key] = None

    def update(self, keys: Iterable[int]) -> None:
        """Note several agents."""
        self._keys.update(dict.fromkeys(keys))

    def add_all(self, keys: Iterable[int]) -> None:
        """Note all agents there are, behind those that changed; costs one list."""
        self._again = list(keys)

    def take(self) -> list[int]:
        """Take a share out, the ones that wait longest; returned in order."""
        keys = list(islice(self._keys, ROWS_A_PASS))
        for key in keys:
            del self._keys[key]
        left = min(ROWS_A_PASS - len(keys), ROWS_AGAIN_A_PASS)
        if self._again and left:
            keys += self._again[-left:]
            del self._again[-left:]
        return sorted(set(keys))


class HeldBytes(NamedTuple):
    """Bytes of one agent in each tier, and in all when everything of it is resident."""

    device: int
    host: int
    storage: int
    total: int


def residency(
    kind: str, keys: Sequence[int], held: Sequence[HeldBytes], in_use: Sequence[bool]
) -> Residency:
    """Return what agents hold as a message, one row a key."""
    device, host, storage, total = np.array([*zip(*held, strict=True)], np.int64)
    return Residency(
        kind=kind,
        keys=np.array(keys, np.int64),
        device_bytes=device,
        host_bytes=host,
        storage_bytes=storage,
        total_bytes=total,
        in_use=np.array(in_use, np.bool_),
    )


def held_bytes(
    bytes_per_token: int,
    paths: Iterable[tuple[Prefix, Sequence[Extent]]],
    stored: Mapping[Prefix, int],
) -> HeldBytes:
    """Return what an agent holds in each tier; all owners of a node count equal parts of it.

    Args:
        bytes_per_token: Bytes per token of the cache.
        paths: Its prefixes, each with what its nodes hold, from the root.
        stored: Leading tokens of each prefix in storage.
    """
    device = host = storage = total = 0
    seen: set[Any] = set()
    for prefix, path in paths:
        begin, in_storage = 0, stored.get(prefix, 0)
        for node, tokens, on_device, on_host in path:
            begin += tokens
            if node in seen:
                continue
            seen.add(node)
            share = tokens * bytes_per_token // (len(node.owners) or 1)
            total += share
            if on_device:
                device += share
            if on_host:
                host += share
            if begin <= in_storage:
                storage += share
        if begin < in_storage:
            storage += (in_storage - begin) * bytes_per_token
        if begin < prefix.length:
            total += (prefix.length - begin) * bytes_per_token
    return HeldBytes(device, host, storage, total)

"""Prefixes on their way from storage to host memory, long before a request asks for them."""

from __future__ import annotations

from collections.abc import Iterable

from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_tree import Storage, StorageReadHandle
from scalesim.deployments.engine.prefixes import Prefix

READS = 8
"""Agents read at a time: nearer ones that come later do not wait behind many."""


class Staging:
    """Reads in flight, by agent.

    Args:
        storage: Where from; None where there is no such tier, and nothing is ever started.
    """

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self._reads: dict[int, list[StorageReadHandle]] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._reads

    def __len__(self) -> int:
        return len(self._reads)

    def places(self) -> int:
        """Return how many more agents' reads may start."""
        return READS - len(self._reads)

    def start(self, key: int, prefixes: Iterable[Prefix], distance: float) -> MoveOutcome:
        """Start reading an agent's prefixes; `arrived` names it once all of them ended."""
        if key in self._reads:
            return MoveOutcome.DONE
        if not self.places():
            return MoveOutcome.BUSY
        assert self._storage is not None
        started = [self._storage.fetch(prefix, distance) for prefix in prefixes]
        reads = [read for read in started if read is not None]
        if not reads:
            return MoveOutcome.REFUSED
        self._reads[key] = reads
        return MoveOutcome.STARTED

    def arrived(self) -> list[int]:
        """Return the agents whose reads ended since the last call, whole, in part or not at all."""
        ended = [key for key, reads in self._reads.items() if not any(r.in_flight for r in reads)]
        for key in ended:
            del self._reads[key]
        return ended

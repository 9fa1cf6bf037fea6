"""Which pages a store is known to hold, whose they are, and which leave first past a quota."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from types import MappingProxyType

Chain = tuple[str, ...]
"""Names of a prefix's pages in order; each name stands for all tokens up to its page's end."""

_DRAIN = 0.95
"""Share of the quota kept when it was passed: pages leave in batches, sorted once."""

_UNOWNED = (inf, 1.0)
"""Rank of a page without an owner: it leaves before any agent's."""


class KnownPages:
    """Pages by name and their owners; safe to use from several threads.

    What leaves is forgotten: nothing deletes it.

    Args:
        quota_bytes: Most bytes known; the farthest agent's last page leaves first.

    Attributes:
        nearest: Returns how far the nearest of some owners is; set once the order is known.
    """

    def __init__(self, quota_bytes: int) -> None:
        self.nearest: Callable[[Collection[int]], float] = lambda owners: inf
        self.quota_bytes = quota_bytes
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}
        self._held_bytes = 0
        self._chains: dict[int, tuple[Chain, ...]] = {}
        self._owners: dict[str, set[int]] = {}
        self._changed_owners: set[int] = set()

    @property
    def held_bytes(self) -> int:
        """Bytes of the pages it knows."""
        return self._held_bytes

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each page it knows, the latest last; not to be changed."""
        return MappingProxyType(self._sizes)

    @property
    def owners(self) -> Mapping[str, Collection[int]]:
        """Agents that each page is of, also of pages that are not there; not to be changed."""
        return MappingProxyType(self._owners)

    def add(self, name: str, size: int) -> None:
        """Note a page as the most recent one; may evict others, or the page itself."""
        with self._lock:
            if not self._is_latest(name):
                self._sizes[name] = size
                self._held_bytes += size
                self._changed_owners |= self._owners.get(name, set())
        self._make_room()

    def remove(self, names: Iterable[str]) -> None:
        """Note pages that are not there."""
        with self._lock:
            for name in names:
                if name in self._sizes:
                    self._delete(name)

    def holds(self, chain: Iterable[str]) -> int:
        """Return how many leading pages of a chain are there as far as is known."""
        held = 0
        for name in chain:
            if name not in self._sizes:
                break
            held += 1
        return held

    def own(self, owner: int, chains: Iterable[Chain]) -> None:
        """Make the pages of these chains an agent's, and no others; it counts as just used."""
        with self._lock:
            before = self._chains.pop(owner, ())
            for name in {name for chain in before for name in chain}:
                owners = self._owners[name]
                owners.discard(owner)
                if not owners:
                    del self._owners[name]
            self._chains[owner] = tuple(chains)
            for name in {name for chain in self._chains[owner] for name in chain}:
                self._owners.setdefault(name, set()).add(owner)

    def drop(self, owner: int) -> None:
        """Let the pages leave that are this agent's alone, and forget it."""
        with self._lock:
            names = {name for chain in self._chains.get(owner, ()) for name in chain}
            alone = [name for name in names if self._owners[name] == {owner}]
            self.own(owner, ())
            del self._chains[owner]
            for name in alone:
                self._delete(name)

    def take_changed(self) -> set[int]:
        """Return owners with pages that were added or removed since the last call."""
        if not self._changed_owners:
            return set()
        with self._lock:
            changed, self._changed_owners = self._changed_owners, set()
            return changed

    def _make_room(self) -> None:
        """Let pages past the quota leave; sorts without the lock: a scheduler may wait for it."""
        with self._lock:
            if self._held_bytes <= self.quota_bytes:
                return
            names, chains = list(self._sizes), list(self._chains.items())
        ranks: dict[str, tuple[float, float, int]] = {}
        for age, (owner, owned) in enumerate(chains):
            distance = self.nearest((owner,))
            for chain in owned:
                for depth, name in enumerate(chain):
                    rank = (distance, -age, depth)
                    ranks[name] = min(rank, ranks.get(name, rank))
        order = [(ranks.get(name, (*_UNOWNED, -age)), name) for age, name in enumerate(names)]
        for _, name in sorted(order, reverse=True):
            with self._lock:
                if self._held_bytes <= _DRAIN * self.quota_bytes:
                    return
                self._delete(name)

    def _is_latest(self, name: str) -> bool:
        """Make a page that is known the latest; return whether it is."""
        size = self._sizes.pop(name, None)
        if size is not None:
            self._sizes[name] = size
        return size is not None

    def _delete(self, name: str) -> None:
        self._held_bytes -= self._sizes.pop(name, 0)
        self._changed_owners |= self._owners.get(name, set())

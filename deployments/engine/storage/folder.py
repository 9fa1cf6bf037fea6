"""Pages on disk under a quota: the farthest agent's last page leaves first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from math import inf
from pathlib import Path

from deployments.engine.storage import frame

Chain = tuple[str, ...]
"""Names of a prefix's pages in order; each name stands for all tokens up to its page's end."""

_SUFFIX = ".page"
_DRAIN = 0.95
"""Share of the quota kept when it was passed: evictions come in batches, sorted once."""

_NOBODYS = (inf, 1.0)
"""Rank of a page without an owner: it leaves before any agent's."""


class PageFolder:
    """Pages in files of one folder; safe to use from several threads.

    The folder may be shared with other replicas of the same model: a page is named by its content,
    so any of them may read it, and one that another has deleted is a miss. Each keeps the pages it
    found or wrote within its own quota.

    Args:
        folder: Made if missing. Pages already there are taken over, oldest first.
        quota_bytes: Most bytes kept.

    Attributes:
        nearest: Tells how far the nearest of some owners is; set once the order is known.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self.nearest: Callable[[Collection[int]], float] = lambda owners: inf
        self.quota_bytes = quota_bytes
        self._folder = folder
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}
        self._chains: dict[int, tuple[Chain, ...]] = {}
        self._owners: dict[str, set[int]] = {}
        self._news: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(f"*{frame.DRAFT}"):
            draft.unlink(missing_ok=True)
        found = [(file.stat(), file) for file in folder.glob(f"*{_SUFFIX}")]
        for stat, file in sorted(found, key=lambda pair: pair[0].st_mtime_ns):
            self._sizes[file.stem] = stat.st_size
        self._held_bytes = sum(self._sizes.values())

    @property
    def held_bytes(self) -> int:
        """Bytes of the pages it knows."""
        return self._held_bytes

    # ---- pages ----

    def put(self, name: str, data: memoryview) -> bool:
        """Keep a page; False where it cannot be written. May evict others, or this one."""
        with self._lock:
            known = self._sizes.pop(name, None)
            if known is not None:
                self._sizes[name] = known
                return True
        try:
            size = frame.write(self._path(name), name, data)
        except OSError:
            return False
        with self._lock:
            self._sizes[name] = size
            self._held_bytes += size
            self._news |= self._owners.get(name, set())
        self._make_room()
        return True

    def get(self, name: str, into: memoryview) -> bool:
        """Fill `into` with a page; one that cannot be read or is damaged is deleted: a miss."""
        if frame.read(self._path(name), name, into):
            return True
        with self._lock:
            self._delete(name)
        return False

    def on_disk(self, name: str) -> bool:
        """Return whether a page's file is there, whoever wrote it; corrects what is known."""
        present = self._path(name).exists()
        with self._lock:
            if not present and name in self._sizes:
                self._delete(name)
        return present

    def holds(self, chain: Iterable[str]) -> int:
        """Return how many leading pages of a chain are here as far as is known; no disk access."""
        held = 0
        for name in chain:
            if name not in self._sizes:
                break
            held += 1
        return held

    def clear(self) -> None:
        """Delete all pages."""
        with self._lock:
            for name in list(self._sizes):
                self._delete(name)

    # ---- owners ----

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
        """Delete the pages that are this agent's alone, and forget it."""
        with self._lock:
            names = {name for chain in self._chains.get(owner, ()) for name in chain}
            alone = [name for name in names if self._owners[name] == {owner}]
            self.own(owner, ())
            del self._chains[owner]
            for name in alone:
                self._delete(name)

    def news(self) -> set[int]:
        """Return the owners some of whose pages came or left since the last call."""
        if not self._news:
            return set()
        with self._lock:
            news, self._news = self._news, set()
            return news

    # ---- quota ----

    def _make_room(self) -> None:
        """Delete pages past the quota; sorts without the lock, for which a scheduler may wait."""
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
        order = [(ranks.get(name, (*_NOBODYS, -age)), name) for age, name in enumerate(names)]
        for _, name in sorted(order, reverse=True):
            with self._lock:
                if self._held_bytes <= _DRAIN * self.quota_bytes:
                    return
                self._delete(name)

    def _delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        self._held_bytes -= self._sizes.pop(name, 0)
        self._news |= self._owners.get(name, set())

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

"""A storage tier under the fake tree: pages are named by the tokens up to their end."""

from __future__ import annotations

from collections.abc import Iterable

from scalesim.deployments.engine.prefixes import Prefix
from tests.support.fake_tree import FakeTree


class FakeRead:
    def __init__(self) -> None:
        self.in_flight = True


class FakeStorage:
    def __init__(self, tree: FakeTree) -> None:
        self.tree = tree
        self.reads: list[tuple[FakeRead, Prefix]] = []
        self.held: dict[tuple, set[int]] = {}
        self.owned: dict[int, list[Prefix]] = {}
        self.changed: set[int] = set()
        self.readable = True

    def budget(self) -> int:
        return 10**6

    def own(self, key: int, prefixes: Iterable[Prefix]) -> None:
        self.owned[key] = list(prefixes)

    def write(self, key: int) -> None:
        """The copies of all that an agent has in host memory arrive."""
        for prefix in self.owned[key]:
            self.held[self._name(prefix)] = set(range(prefix.length // self.tree.page_size))
        self.changed.add(key)

    def lose(self, key: int) -> None:
        for prefix in self.owned[key]:
            self.held.pop(self._name(prefix), None)
        self.changed.add(key)

    def stored_tokens(self, key: int) -> dict[Prefix, int]:
        return {
            prefix: len(self.held.get(self._name(prefix), ())) * self.tree.page_size
            for prefix in self.owned.get(key, ())
        }

    def fetch(self, prefix: Prefix, distance: float) -> FakeRead | None:
        if not self.readable:
            return None
        self.reads.append((FakeRead(), prefix))
        return self.reads[-1][0]

    def arrive(self) -> None:
        """Reads end: what is still held is in host memory now."""
        for read, prefix in self.reads:
            read.in_flight = False
            if self._name(prefix) in self.held:
                tokens = prefix.tokens[: prefix.length]
                for node in self.tree.line(self.tree.locate(tokens, prefix.space)):
                    node.host = True
        self.reads.clear()

    def drop(self, key: int) -> None:
        self.lose(key)
        del self.owned[key]

    def take_changed(self) -> set[int]:
        changed, self.changed = self.changed, set()
        return changed

    def restarted(self) -> int:
        return 0

    def _name(self, prefix: Prefix) -> tuple:
        return (prefix.space, *prefix.tokens[: prefix.length].tolist())

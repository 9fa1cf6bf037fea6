"""A prefix tree with the rules of SGLang's: leaves leave first, ancestors come first."""

from __future__ import annotations

from collections.abc import Iterator

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_tree import Extent, TreeListener
from scalesim.deployments.engine.prefixes import CacheSpace, Tokens
from scalesim.vocabulary import Budgets


class FakeNode:
    def __init__(self, parent: FakeNode | None, tokens: tuple[int, ...]) -> None:
        self.parent = parent
        self.tokens = tokens
        self.children: dict[tuple, FakeNode] = {}
        self.owners: set[int] = set()
        self.device = self.host = False
        self.loading = False


class FakeTree:
    """Pages are children; device and host hold a bounded number of tokens."""

    page_size = 2
    bytes_per_token = 10
    storage = None

    def __init__(self, order: DistanceOrder, device_tokens: int, host_tokens: int = 10**6) -> None:
        self.order = order
        self.device_tokens, self.host_tokens = device_tokens, host_tokens
        self.roots: dict[CacheSpace, FakeNode] = {}
        self.in_use: set[int] = set()
        self.locked: set[int] = set()
        self.slots = 3
        self.loads = 0
        self.carried = (0, 0.0)
        self.slow_copies = False
        self.writing: list[FakeNode] = []

    def watch(self, watcher: TreeListener) -> None:
        self.payload = watcher

    def budgets(self) -> Budgets:
        return Budgets(self.device_tokens * 10, self.host_tokens * 10, 0)

    def storage_fault(self) -> str:
        return ""

    def request(self, tokens: Tokens, space: CacheSpace) -> bool:
        """Compute a prompt: every page of it comes to the device, with a host copy."""
        if not self._free(
            len(tokens) // self.page_size * self.page_size - self._held(tokens, space)
        ):
            return False
        for node in self.line(self.locate(tokens, space)):
            node.device = node.host = True
        return True

    def _held(self, tokens: Tokens, space: CacheSpace) -> int:
        path = self.line(self.locate(tokens, space))
        self._kept = set(path)
        return sum(self.page_size for node in path if node.device)

    def _free(self, tokens: int) -> bool:
        while self.free_tokens() < tokens:
            leaves = [n for n in self._leaves() if n not in self._kept]
            if not leaves:
                return False
            farthest = max(leaves, key=lambda n: self.order.nearest(n.owners))
            farthest.device = False
            self.payload.evicted(farthest.owners)
        return True

    def nodes(self) -> Iterator[FakeNode]:
        stack = list(self.roots.values())
        while stack:
            node = stack.pop()
            stack.extend(node.children.values())
            if node.parent is not None:
                yield node

    def free_tokens(self) -> int:
        return self.device_tokens - sum(self.page_size for n in self.nodes() if n.device)

    def _leaves(self) -> list[FakeNode]:
        return [n for n in self.nodes() if self._is_leaf(n)]

    def _is_leaf(self, node: FakeNode) -> bool:
        busy = node.loading or bool(node.owners & self.locked)
        return node.device and not busy and not any(c.device for c in node.children.values())

    def locate(self, tokens: Tokens, space: CacheSpace) -> FakeNode:
        node = self.roots.setdefault(space, FakeNode(None, ()))
        for start in range(0, len(tokens) // self.page_size * self.page_size, self.page_size):
            page = tuple(int(t) for t in tokens[start : start + self.page_size])
            node = node.children.setdefault(page, FakeNode(node, page))
        return node

    def path(self, node: FakeNode) -> list[FakeNode]:
        return [step for step in self.line(node) if step.device or step.host]

    def line(self, node: FakeNode) -> list[FakeNode]:
        """Nodes from the root, with those a request or a read is about to fill."""
        found = []
        while node.parent is not None:
            if node.parent.children.get(node.tokens) is node:
                found.append(node)
            node = node.parent
        return found[::-1]

    def nearer(self, node: FakeNode) -> None:
        pass

    def farther(self, node: FakeNode) -> None:
        pass

    def extents(self, node: FakeNode) -> list[Extent]:
        return [(step, self.page_size, step.device, step.host) for step in self.path(node)]

    def tokens_of(self, node: FakeNode) -> int:
        return self.page_size

    def on_device(self, node: FakeNode) -> bool:
        return node.device

    def on_host(self, node: FakeNode) -> bool:
        return node.host

    def make_room(self, tokens: int, farther_than: float, most: int | None = None) -> MoveOutcome:
        gone = 0
        while self.free_tokens() < tokens:
            leaves = [n for n in self._leaves() if self.order.nearest(n.owners) > farther_than]
            if not leaves:
                return MoveOutcome.REFUSED
            if gone == most:
                return MoveOutcome.BUSY
            left = self.leave_device(max(leaves, key=lambda n: self.order.nearest(n.owners)))
            if left is not MoveOutcome.DONE:
                return left
            gone += 1
        return MoveOutcome.DONE

    def can_load(self, *, ahead: bool) -> bool:
        return self.slots > 0

    def load(self, node: FakeNode) -> bool:
        missing = [n for n in self.path(node) if not n.device]
        if not all(n.host for n in missing):
            return False
        for step in missing:
            step.device = step.loading = True
        return True

    def start_loads(self) -> None:
        self.slots -= 1
        self.loads += 1

    def arrive(self) -> None:
        self.slots = 3
        for node in self.nodes():
            node.loading = False

    def is_loading(self, node: FakeNode) -> bool:
        return node.loading

    def loaded(self) -> tuple[int, float]:
        return self.carried

    def leave_device(self, node: FakeNode) -> MoveOutcome:
        if not self._is_leaf(node):
            return MoveOutcome.REFUSED
        if not node.host and self.slow_copies and node.owners:
            self.writing.append(node)
            return MoveOutcome.BUSY
        node.device = False
        node.host = True
        self.payload.evicted(node.owners)
        return MoveOutcome.DONE

    def write(self) -> None:
        """Host copies that were begun are there."""
        for node in self.writing:
            node.host = True
        self.writing.clear()

    def leave_host(self, node: FakeNode) -> MoveOutcome:
        if node.device or node.children:
            return MoveOutcome.REFUSED
        node.host = False
        self.payload.touched(node.owners)
        assert node.parent is not None
        del node.parent.children[node.tokens]
        return MoveOutcome.DONE

    def keys_in_use(self) -> set[int]:
        return self.in_use | self.locked

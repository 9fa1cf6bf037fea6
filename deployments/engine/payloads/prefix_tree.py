"""The seam between the prefix payload and the engine's prefix cache."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.payloads.moves import Arrivals, MoveOutcome
from scalesim.deployments.engine.prefixes import CacheSpace, Prefix, Tokens
from scalesim.vocabulary import Budgets

Extent = tuple[Any, int, bool, bool]
"""A node, how many tokens it holds, whether on the device, whether in host memory."""


class TreeListener(Protocol):
    """What the cache reports of agents' prefixes, on the scheduler's thread."""

    def learn(self, key: int, latest: Prefix, next_use: float | None) -> None:
        """A request of agent `key` finished; `next_use` is the step distance it reported."""

    def used(self, key: int, host_tokens: int) -> None:
        """A request was admitted and had to load `host_tokens` by itself."""

    def bring(self, keys: Sequence[int], hidden: int, running: int) -> Arrivals:
        """Requests of these agents wait, in this order: begin copies, return who waits for one.

        Nobody does where no more than `hidden` tokens are left to copy. So many others run.
        """

    def resident_tokens(self, key: int) -> int:
        """Return how many tokens of agent `key` a request need not compute."""

    def idle(self, key: int) -> None:
        """No request of agent `key` is left, however the last one went."""

    def computed(self, tokens: int, seconds: float) -> None:
        """Prefill computed `tokens`; the engine was busy with it for `seconds`."""

    def evicted(self, owners: Collection[int]) -> None:
        """A node of these owners left the device."""

    def touched(self, owners: Iterable[int]) -> None:
        """A host copy of these owners is gone."""

    def forget(self) -> None:
        """The cache was flushed."""


class StorageReadHandle(Protocol):
    """A prefix on its way from storage to host memory."""

    @property
    def in_flight(self) -> bool:
        """Return whether pages are still being read; they are in the tree once this is False."""


class Storage(Protocol):
    """The tier below the tree. Reads and writes happen on its own threads."""

    def budget(self) -> int:
        """Return the bytes it may hold."""

    def own(self, key: int, prefixes: Iterable[Prefix]) -> None:
        """Make the pages of these prefixes an agent's, and no others."""

    def stored_tokens(self, key: int) -> dict[Prefix, int]:
        """Return how many leading tokens of each prefix of an agent it holds, as far as known."""

    def fetch(self, prefix: Prefix, distance: float) -> StorageReadHandle | None:
        """Start reading what the tree lacks of a prefix; None where it cannot be read now.

        Host memory is freed of state that no agent owns and of owners farther than `distance` only.
        """

    def drop(self, key: int) -> None:
        """Delete an agent's own pages."""

    def take_changed(self) -> set[int]:
        """Return agents with pages that were added or removed since the last call."""

    def restarted(self) -> int:
        """Start threads that died again; return how many did so far."""


class PrefixTree(Protocol):
    """The engine's prefix cache. A node is opaque but for `owners`."""

    page_size: int
    bytes_per_token: int
    storage: Storage | None

    @property
    def order(self) -> DistanceOrder:
        """Order in which the tree gives up memory."""

    def watch(self, watcher: TreeListener) -> None:
        """Tell `watcher` from now on what requests and evictions do."""

    def budgets(self) -> Budgets:
        """Return the bytes the pools hold."""

    def storage_fault(self) -> str:
        """Return what the storage of any rank failed with; empty while it works."""

    def locate(self, tokens: Tokens, space: CacheSpace) -> Any:
        """Return the deepest node of a sequence, split so that it ends where the sequence does."""

    def path(self, node: Any) -> Sequence[Any]:
        """Return the nodes from the root to `node` that are still in the tree."""

    def farther(self, node: Any) -> None:
        """Note that a node may leave earlier than it did: owners went, or are farther now."""

    def nearer(self, node: Any) -> None:
        """Note that owners came to a node."""

    def extents(self, node: Any) -> Sequence[Extent]:
        """Return what the nodes of `path` hold, in its order."""

    def tokens_of(self, node: Any) -> int:
        """Return how many tokens a node holds."""

    def on_device(self, node: Any) -> bool:
        """Return whether it is in GPU memory."""

    def on_host(self, node: Any) -> bool:
        """Return whether it has a host copy."""

    def make_room(self, tokens: int, farther_than: float, most: int | None = None) -> MoveOutcome:
        """Free device tokens of owners farther than a distance, `most` nodes at a time.

        DONE, BUSY while host copies of what must leave are written or more nodes must leave than
        that, REFUSED where too few can be.
        """

    def can_load(self, *, ahead: bool) -> bool:
        """Return whether a transfer may start: some are queued, so that the link does not idle.

        Those ahead of requests leave a place to transfers that requests wait for.
        """

    def load(self, node: Any) -> bool:
        """Queue the copy of a node, and of what is missing above it, to the device."""

    def start_loads(self) -> None:
        """Submit queued copies as one transfer."""

    def is_loading(self, node: Any) -> bool:
        """Return whether the node's copy has not arrived yet."""

    def loaded(self) -> tuple[int, float]:
        """Return the bytes that `load` carried so far and the seconds the link was busy."""

    def leave_device(self, node: Any) -> MoveOutcome:
        """Evict a node from the device; an owned one keeps a host copy.

        DONE, BUSY while that copy is written, REFUSED where something needs the node or its copy
        finds no room.
        """

    def leave_host(self, node: Any) -> MoveOutcome:
        """Delete a node's host copy: DONE, or REFUSED where something needs it."""

    def keys_in_use(self) -> Collection[int]:
        """Return the agents of queued and running requests, as of this pass."""

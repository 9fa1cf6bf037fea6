"""Payload `prefix`: the KV cache of what an agent's next prompt begins with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any

from scalesim.deployments.engine.eviction_order import PushedDistances, PushedKeys
from scalesim.deployments.engine.payloads.guessed_fetches import GuessedFetches
from scalesim.deployments.engine.payloads.interfaces import PayloadEngine
from scalesim.deployments.engine.payloads.move_counters import MoveCounters
from scalesim.deployments.engine.payloads.moves import Arrivals, MoveOutcome
from scalesim.deployments.engine.payloads.prefix_loads import PrefixLoads
from scalesim.deployments.engine.payloads.prefix_tree import Extent, PrefixTree
from scalesim.deployments.engine.payloads.residency_accounting import (
    ChangedAgents,
    HeldBytes,
    held_bytes,
    residency,
)
from scalesim.deployments.engine.payloads.staging import Staging
from scalesim.deployments.engine.prefixes import Prefix, begins_alike, learn
from scalesim.vocabulary import PREFIX, Budgets, Residency, Tier, TransferStats


def build(engine: PayloadEngine) -> PrefixPayload:
    """Return the payload of an engine's prefix cache; see `payloads.kinds`."""
    return PrefixPayload(engine.tree)


class PrefixPayload:
    """Moves agents' prefixes through the engine's tree, farthest out first."""

    kind = PREFIX

    def __init__(self, tree: PrefixTree) -> None:
        self._tree = tree
        self._order = tree.order
        self._known: dict[int, list[Prefix]] = {}
        self._anchors: dict[int, list[Any]] = {}
        self._changed = ChangedAgents()
        self._storage = tree.storage
        self._staging = Staging(tree.storage)
        self._to_read: dict[int, Tier] = {}
        self._onward: set[int] = set()
        self._guesses = GuessedFetches(tree.order.distance)
        self._computed_s = 0.0
        self._computed_bytes = 0
        self._counters = MoveCounters(PREFIX)
        self._loads = PrefixLoads(tree, self._node_paths, tree.order.distance, self._counters)
        tree.watch(self)

    def budgets(self) -> Budgets:
        """Return the KV pools' bytes."""
        return self._tree.budgets()

    def learn(self, key: int, latest: Prefix, next_use: float | None) -> None:
        """A request of agent `key` finished: learn its prefix and take ownership of its nodes."""
        known, anchors = self._known.get(key, []), self._anchors.get(key, [])
        keep = self._storage is not None  # to be read back by its tokens
        learned = learn(known, latest, self._tree.page_size, tokens=keep)
        newest, others = learned[0], learned[1:]
        if anchors and others == known[1:] and self._ends_at(newest, known[0], anchors[0]):
            self._known[key] = learned  # the same nodes, which are its own already
            self._changed.add(key)
        else:
            before = dict(zip(known, anchors, strict=False))
            anchor = next((a for p, a in before.items() if self._ends_at(newest, p, a)), None)
            if anchor is None:
                anchor = self._tree.locate(latest.tokens[: newest.length], newest.space)
            self._own(key, learned, [anchor, *map(before.get, others)])
        if self._storage is not None:
            self._storage.own(key, self._known[key])
        if next_use is not None:
            self.push((key,), (next_use,))

    def used(self, key: int, host_tokens: int) -> None:
        """A request of agent `key` was admitted; `host_tokens` it had to load by itself."""
        self._counters.use(key, "late" if host_tokens or key in self._loads else "used")
        self._changed.add(key)

    def bring(self, keys: Sequence[int], hidden: int, running: int = 0) -> Arrivals:
        """Requests of these agents wait, in this order: begin to copy what the device lacks.

        Unless it is at most `hidden` tokens, which a batch waits for by itself. So many run.
        """
        for key in keys:
            if key in self._known:
                self._order.need(key)
        arrivals = self._loads.bring(keys, hidden, running)
        self._changed.update(arrivals.coming)
        return arrivals

    def resident_tokens(self, key: int) -> int:
        """Return how many tokens of an agent's longest prefix are on the device or on the way."""
        tree, paths = self._tree, self._node_paths(key)
        return max(
            (sum(tree.tokens_of(n) for n in path if tree.on_device(n)) for path in paths), default=0
        )

    def idle(self, key: int) -> None:
        """The last request of agent `key` went: finished, aborted or refused."""
        if key in self._known:
            self._changed.add(key)
            self._order.unneed(key)
            self._reorder(key)

    def computed(self, tokens: int, seconds: float) -> None:
        """Prefill computed `tokens`, and the engine was busy with it for `seconds`."""
        self._computed_bytes += tokens * self._tree.bytes_per_token
        self._computed_s += seconds

    def evicted(self, owners: Collection[int]) -> None:
        """A node of these owners left the device, by whatever cause."""
        self._counters.evicted(self._order.nearest(owners))
        self.touched(owners)

    def touched(self, owners: Iterable[int]) -> None:
        """Something of these owners left a tier: what was fetched ahead for them is lost."""
        for key in owners:
            self._changed.add(key)
            self._counters.waste(key)

    def push(self, keys: PushedKeys, distances: PushedDistances) -> None:
        """Take over distances."""
        for key in self._order.push(keys, distances):
            self._reorder(key)

    def distance(self, key: int) -> float:
        """Return an agent's distance."""
        return self._order.distance(key)

    def prefetch(self, key: int, tier: Tier) -> MoveOutcome:
        """Read from storage what host memory lacks, then queue for the device what that lacks.

        A read that must wait for others waits here: what needs another link goes on.
        """
        if key not in self._known:
            return self._counters.refuse()
        self._to_read.pop(key, None)
        self._guesses.discard(key)
        if self._lacking(key):
            staged = self._stage(key, tier)
            if staged is not MoveOutcome.BUSY:
                return staged
            self._to_read[key] = tier
            return MoveOutcome.STARTED
        return self._load(key) if tier is Tier.DEVICE else MoveOutcome.DONE

    def demote(self, key: int, tier: Tier) -> MoveOutcome:
        """Take an agent's own nodes out of hotter tiers, deepest first, where `tier` has copies."""
        self._stay(key)  # what is still read from storage stays in host memory
        if self._busy(key) or key not in self._known:
            return self._counters.refuse()
        if tier is Tier.STORAGE and not self._is_stored(key):
            return self._counters.refuse()
        outcome = MoveOutcome.ALREADY
        with self._counters.planned():
            for node in reversed(self._nodes(key)):
                if node.owners != {key}:
                    continue
                left = self._leave(node, tier)
                if left is MoveOutcome.REFUSED:
                    return self._counters.refuse()
                if left is MoveOutcome.BUSY:
                    return left
                if left is MoveOutcome.DONE:
                    outcome = left
        return outcome

    def _leave(self, node: Any, tier: Tier) -> MoveOutcome:
        outcome = MoveOutcome.ALREADY
        if self._tree.on_device(node):
            outcome = self._tree.leave_device(node)
            if outcome is not MoveOutcome.DONE:
                return outcome
        return self._tree.leave_host(node) if tier is Tier.STORAGE else outcome

    def drop(self, key: int) -> MoveOutcome:
        """Take an agent's own nodes out of every tier and forget its prefixes."""
        self._stay(key)
        if self._busy(key) or key not in self._known:
            return self._counters.refuse()
        nodes = self._nodes(key)
        self._disown(key, nodes)
        with self._counters.planned():
            for node in reversed(nodes):
                if not node.owners:  # needs no host copy: what is needed still is evicted first
                    if self._tree.on_device(node):
                        self._tree.leave_device(node)
                    self._tree.leave_host(node)
        if self._storage is not None:
            self._storage.drop(key)
        self._known.pop(key, None)
        self._anchors.pop(key, None)
        self._order.unnote(key)
        self._counters.waste(key)
        self._changed.add(key)
        return MoveOutcome.DONE

    def pin(self, key: int) -> None:
        """Make an agent's nodes the last to be evicted."""
        self._order.pin(key)

    def unpin(self, key: int) -> None:
        """Undo `pin`."""
        self._order.unpin(key)
        self._reorder(key)

    def settle(self) -> bool:
        """Submit queued loads as one transfer and complete those that arrived."""
        for key in self._staging.arrived():
            if key in self._known:
                self._anchor(key)
        self._read_on()
        read = [key for key in self._onward if key not in self._staging]
        for key in sorted(read, key=self._order.distance):
            if key not in self._known or self._load(key) is not MoveOutcome.BUSY:
                self._onward.discard(key)
        for key in self._guesses.due(requests=bool(self._tree.keys_in_use())):
            if self._load(key) is MoveOutcome.BUSY:
                break
            self._guesses.discard(key)
        self._loads.submit()
        self._changed.update(self._loads.arrived())
        self._counters.reads.settle(bool(self._staging))
        waits = self._onward or self._guesses or self._to_read
        return bool(self._loads or self._staging or waits)

    def changed(self) -> Residency | None:
        """Return rows of agents that changed, a share of them."""
        if self._storage is not None:
            self._changed.update(self._storage.take_changed())
        if not self._changed:
            return None
        keys = self._changed.take()
        in_use = self._tree.keys_in_use()
        held = [self._held_bytes(key) for key in keys]
        return residency(self.kind, keys, held, [key in in_use for key in keys])

    def touch_all(self) -> None:
        """Report every known agent again."""
        self._changed.add_all(self._known)

    def transfer(self) -> TransferStats:
        """Return the counters."""
        loaded_bytes, loaded_s = self._tree.loaded()
        return self._counters.stats(
            loaded_bytes=loaded_bytes,
            loaded_s=loaded_s,
            computed_bytes=self._computed_bytes,
            computed_s=self._computed_s,
            restarted=self._storage.restarted() if self._storage is not None else 0,
            fault=self._tree.storage_fault(),
        )

    def forget(self) -> None:
        """The cache was flushed: agents stay known, their state is absent."""
        self._changed.add_all(self._known)
        self._anchors.clear()
        self._loads.forget()
        self._counters.forget()
        self._to_read.clear()
        self._onward.clear()
        self._guesses.clear()

    def _lacking(self, key: int) -> list[Prefix]:
        """Return the prefixes of which storage holds more than the tree."""
        if self._storage is None:
            return []
        self._anchor(key)  # a request may have brought back what was gone
        stored = self._storage.stored_tokens(key)
        return [
            prefix
            for prefix, path in self._paths(key)
            if stored.get(prefix, 0) > sum(map(self._tree.tokens_of, path))
        ]

    def _stay(self, key: int) -> None:
        """Let an agent's prefixes go no further up than they are on their way now."""
        self._to_read.pop(key, None)
        self._onward.discard(key)
        self._guesses.discard(key)

    def _read_on(self) -> None:
        """Start reads that had to wait, in their order, as far as others ended."""
        for key in list(islice(self._to_read, self._staging.places())):
            tier = self._to_read.pop(key)
            if self._lacking(key):
                self._stage(key, tier)
            elif tier is Tier.DEVICE:  # a request has read it meanwhile
                self._onward.add(key)

    def _stage(self, key: int, tier: Tier) -> MoveOutcome:
        before = self._held_bytes(key)
        outcome = self._staging.start(key, self._lacking(key), self._order.distance(key))
        if outcome is MoveOutcome.STARTED:
            missing = before.storage - before.host
            self._counters.reads.begin(missing)
            self._issue(key, missing)
        if tier is Tier.DEVICE and outcome in (MoveOutcome.STARTED, MoveOutcome.DONE):
            self._onward.add(key)
        return self._counters.refuse() if outcome is MoveOutcome.REFUSED else outcome

    def _is_stored(self, key: int) -> bool:
        stored = self._storage.stored_tokens(key) if self._storage is not None else {}
        return all(stored.get(prefix, 0) >= prefix.length for prefix in self._known[key])

    def _load(self, key: int) -> MoveOutcome:
        """Queue host nodes of an agent for the device, nearest request's path first."""
        if self._guesses.waits(key):
            return MoveOutcome.STARTED
        outcome = self._loads.ahead(key)
        if key in self._loads:
            self._changed.add(key)
        return outcome

    def _issue(self, key: int, size: int) -> None:
        self._counters.issue(key, size)
        self._changed.add(key)

    def _reorder(self, key: int) -> None:
        """Tell the tree that an agent's nodes leave earlier than they did."""
        for node in self._nodes(key):
            self._tree.farther(node)

    def _disown(self, key: int, nodes: Iterable[Any]) -> None:
        for node in nodes:
            node.owners.discard(key)
            self._tree.farther(node)

    def _anchor(self, key: int) -> None:
        """Find the nodes of an agent's prefixes as the tree is now."""
        prefixes = self._known[key]
        anchors = [self._tree.locate(p.tokens[: p.length], p.space) for p in prefixes]
        self._own(key, prefixes, anchors)

    def _ends_at(self, newest: Prefix, known: Prefix, anchor: Any) -> bool:
        """Return whether a known prefix ends here and is still complete in the tree."""
        length, page = newest.length, self._tree.page_size
        if length != known.length or newest.space != known.space:
            return False
        if not begins_alike(newest, known, length, page):
            return False
        return sum(map(self._tree.tokens_of, self._path(anchor))) == length

    def _own(self, key: int, prefixes: list[Prefix], anchors: list[Any]) -> None:
        """Note where an agent's prefixes end, None for nowhere; own these nodes and no others."""
        self._changed.add(key)
        self._known[key] = prefixes
        before = self._nodes(key) if anchors != self._anchors.get(key) else ()
        self._anchors[key] = anchors
        for anchor in anchors:
            for node in self._path(anchor):
                if key not in node.owners:
                    node.owners.add(key)
                    self._tree.nearer(node)
        if before:
            nodes = set(self._nodes(key))
            self._disown(key, (node for node in before if node not in nodes))

    def _paths(self, key: int) -> list[tuple[Prefix, Sequence[Any]]]:
        """Prefixes of an agent with their nodes that are still in the tree."""
        known = self._known.get(key, ())
        anchors = self._anchors.get(key) or [None] * len(known)
        return [(p, self._path(a)) for p, a in zip(known, anchors, strict=True)]

    def _node_paths(self, key: int) -> list[Sequence[Any]]:
        return [path for _, path in self._paths(key)]

    def _nodes(self, key: int) -> list[Any]:
        """Nodes of all prefixes of an agent, each once, ancestors before descendants."""
        paths = map(self._path, self._anchors.get(key, ()))
        return list(dict.fromkeys(node for path in paths for node in path))

    def _path(self, anchor: Any) -> Sequence[Any]:
        return self._tree.path(anchor) if anchor is not None else ()

    def _extents(self, anchor: Any) -> Sequence[Extent]:
        return self._tree.extents(anchor) if anchor is not None else ()

    def _held_bytes(self, key: int) -> HeldBytes:
        stored = self._storage.stored_tokens(key) if self._storage is not None else {}
        known = self._known.get(key, ())
        anchors = self._anchors.get(key) or [None] * len(known)
        extents = map(self._extents, anchors)
        return held_bytes(self._tree.bytes_per_token, zip(known, extents, strict=True), stored)

    def _moves(self, key: int) -> bool:
        return key in self._loads or key in self._staging

    def _busy(self, key: int) -> bool:
        return self._moves(key) or key in self._tree.keys_in_use()

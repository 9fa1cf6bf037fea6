"""Payload `prefix`: the KV cache of what an agent's next prompt begins with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from deployments.engine.payloads.base import Engine, Outcome
from deployments.engine.payloads.tree import PrefixTree
from deployments.engine.prefixes import Prefix, learn
from scalesim.vocabulary import PREFIX, Budgets, Flow, Residency, Tier

PREFETCH_TOKENS_A_PASS = 8192
"""Most tokens submitted at once: a request that must load by itself waits behind at most this
many on the same stream (21 ms at 2.6 us a token, an H100's PCIe with Llama-3.1-8B)."""


def build(engine: Engine) -> PrefixPayload:
    """Return the payload of an engine's prefix cache; see `payloads.registry`."""
    return PrefixPayload(engine.tree)


class PrefixPayload:
    """Moves agents' prefixes through the engine's tree, farthest out first."""

    kind = PREFIX

    def __init__(self, tree: PrefixTree) -> None:
        self._tree = tree
        self._order = tree.order
        self._known: dict[int, list[Prefix]] = {}
        self._anchors: dict[int, list[Any]] = {}
        self._changed: set[int] = set()
        self._loading: dict[int, list[Any]] = {}
        self._ahead: dict[int, int] = {}
        self._queued_tokens = 0
        self._cause = "evicted_by_pressure"
        self._counts = dict.fromkeys(Flow._fields[1:], 0)
        tree.watch(self)

    def budgets(self) -> Budgets:
        """Return the KV pools' bytes."""
        return self._tree.budgets()

    # ---- what the engine tells ----

    def learn(self, key: int, latest: Prefix, next_use: float | None) -> None:
        """A request of agent `key` finished: learn its prefix and take ownership of its nodes."""
        before = self._nodes(key)
        self._known[key] = learn(self._known.get(key, []), latest, self._tree.page_size)
        self._anchors[key] = [
            self._tree.locate(p.tokens[: p.length], p.space) for p in self._known[key]
        ]
        after = self._nodes(key)
        for node in before:
            node.owners.discard(key)
        for node in after:
            node.owners.add(key)
        if next_use is not None:
            self._order.push((key,), (next_use,))
        self._changed.add(key)

    def used(self, key: int, host_tokens: int) -> None:
        """A request of agent `key` was admitted; `host_tokens` it had to load by itself."""
        if self._ahead.pop(key, None) is not None:
            self._counts["late" if host_tokens or key in self._loading else "used"] += 1
        self._changed.add(key)

    def evicted(self, owners: Iterable[int]) -> None:
        """A node of these owners left the device, by whatever cause."""
        self._counts[self._cause] += 1
        for key in owners:
            self._changed.add(key)
            wasted = self._ahead.pop(key, None)
            if wasted is not None:
                self._counts["wasted"] += 1
                self._counts["wasted_bytes"] += wasted

    def touched(self, owners: Iterable[int]) -> None:
        """The residency of these owners changed."""
        self._changed.update(owners)

    # ---- what the controller tells ----

    def push(self, keys: Iterable[int], distances: Iterable[float]) -> None:
        """Take over distances."""
        self._order.push(keys, distances)

    def prefetch(self, key: int, tier: Tier) -> Outcome:
        """Queue host nodes of an agent for the device, nearest request's path first."""
        tree = self._tree
        outcome = Outcome.DONE
        for anchor in self._anchors.get(key, ()):
            missing = [n for n in tree.path(anchor) if not tree.on_device(n)]
            if not missing or not tree.on_host(missing[-1]):
                continue
            tokens = sum(map(tree.tokens_of, missing))
            if not tree.can_load() or (
                self._queued_tokens and self._queued_tokens + tokens > PREFETCH_TOKENS_A_PASS
            ):
                return Outcome.BUSY
            if not tree.make_room(tokens, self._order.distance(key)) or not tree.load(missing[-1]):
                return self._refuse()
            self._queued_tokens += tokens
            self._loading.setdefault(key, []).append(missing[-1])
            self._ahead[key] = self._ahead.get(key, 0) + tokens * tree.bytes_per_token
            self._counts["issued"] += 1
            self._counts["issued_bytes"] += tokens * tree.bytes_per_token
            self._changed.add(key)
            outcome = Outcome.STARTED
        return outcome if key in self._anchors else self._refuse()

    def demote(self, key: int, tier: Tier) -> Outcome:
        """Take an agent's own nodes off the device, deepest first, keeping host copies."""
        busy = key in self._loading or key in self._tree.keys_in_use()
        if busy or key not in self._known:
            return self._refuse()
        self._cause = "evicted_by_plan"
        try:
            for node in reversed(self._nodes(key)):
                if not self._tree.on_device(node):
                    continue
                if node.owners != {key}:
                    break
                if not self._tree.leave_device(node):
                    return self._refuse()
        finally:
            self._cause = "evicted_by_pressure"
        return Outcome.DONE

    def drop(self, key: int) -> Outcome:
        """Take an agent's own nodes out of every tier and forget its prefixes."""
        if self.demote(key, Tier.HOST) is Outcome.REFUSED:
            return Outcome.REFUSED
        nodes = self._nodes(key)
        for node in reversed(nodes):
            if node.owners == {key}:
                self._tree.leave_host(node)
            node.owners.discard(key)
        self._known.pop(key, None)
        self._anchors.pop(key, None)
        self._ahead.pop(key, None)
        self._changed.add(key)
        return Outcome.DONE

    def pin(self, key: int) -> None:
        """Make an agent's nodes the last to be evicted."""
        self._order.pin(key)

    def unpin(self, key: int) -> None:
        """Undo `pin`."""
        self._order.unpin(key)

    def settle(self) -> bool:
        """Submit queued loads as one transfer and complete those that arrived."""
        if self._queued_tokens:
            self._tree.start_loads()
            self._queued_tokens = 0
        for key in list(self._loading):
            if not any(map(self._tree.is_loading, self._loading[key])):
                del self._loading[key]
                self._changed.add(key)
        return bool(self._loading)

    # ---- what the controller asks ----

    def changed(self) -> Residency | None:
        """Return rows of agents that changed."""
        if not self._changed:
            return None
        keys, self._changed = sorted(self._changed), set()
        in_use = self._tree.keys_in_use()
        rows = [(*self._bytes(key), key in in_use or key in self._loading) for key in keys]
        device, host, total, busy = (np.asarray(column) for column in zip(*rows, strict=True))
        return Residency(
            kind=self.kind,
            keys=np.array(keys, np.int64),
            device_bytes=device.astype(np.int64),
            host_bytes=host.astype(np.int64),
            storage_bytes=np.zeros(len(keys), np.int64),
            total_bytes=total.astype(np.int64),
            in_use=busy.astype(np.bool_),
        )

    def touch_all(self) -> None:
        """Report every known agent again."""
        self._changed.update(self._known)

    def flow(self) -> Flow:
        """Return the counters."""
        return Flow(self.kind, **self._counts)

    def forget(self) -> None:
        """The cache was flushed: agents stay known, their state is absent."""
        self._changed.update(self._known)
        self._anchors.clear()
        self._loading.clear()
        self._ahead.clear()
        self._queued_tokens = 0

    def _nodes(self, key: int) -> list[Any]:
        """Nodes of all prefixes of an agent, each once, ancestors before descendants."""
        paths = (self._tree.path(anchor) for anchor in self._anchors.get(key, ()))
        return list(dict.fromkeys(node for path in paths for node in path))

    def _bytes(self, key: int) -> tuple[int, int, int]:
        """Bytes on device, on host, and in all; a shared node counts in equal parts."""
        tree, device, host, held = self._tree, 0, 0, 0
        missing = sum(p.length for p in self._known.get(key, ()))
        for node in self._nodes(key):
            tokens = tree.tokens_of(node)
            share = tokens * tree.bytes_per_token // max(1, len(node.owners))
            device += share * tree.on_device(node)
            host += share * tree.on_host(node)
            held += share
            missing -= tokens
        return device, host, held + max(0, missing) * tree.bytes_per_token

    def _refuse(self) -> Outcome:
        self._counts["refused"] += 1
        return Outcome.REFUSED

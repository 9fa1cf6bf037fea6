"""Prefixes on their way from host memory to the device: ahead of requests, and of those that wait.

Copies that requests in the queue wait for go first; those ahead of requests take what the link has
left, and room as agents that are farther leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scalesim.deployments.engine.eviction_order import NEEDED
from scalesim.deployments.engine.payloads.move_counters import MoveCounters
from scalesim.deployments.engine.payloads.moves import NO_ARRIVALS, Arrivals, MoveOutcome
from scalesim.deployments.engine.payloads.prefix_tree import PrefixTree

TOKENS_A_TRANSFER = 4096
"""Tokens from which on a transfer takes no further prefix: a request that must load by itself
waits behind two such transfers at most (21 ms at 2.6 us a token, an H100's PCIe with
Llama-3.1-8B)."""

TRANSFERS = 3
"""Transfers that SGLang lets be under way at a time, each noticed at the next pass: what requests
wait for is dealt to so many, as a pass may take longer than small ones and the link would idle."""

GROWTH_TOKENS = 64
"""Tokens left free for each agent in use: what its request still computes and generates would else
evict one that was fetched, which is then fetched again, or wait for a copy with all that runs."""

LEAVES_A_FETCH = 8
"""Nodes that leave the device for a fetch ahead in one pass, which its share of the pass allows:
room for all agents in use, after a plan that changes much, is hundreds."""


class PrefixLoads:
    """Copies under way, by agent.

    Args:
        tree: The engine's prefix cache.
        paths: Returns an agent's prefixes' nodes, from the root, those of its next request first.
        distance: Returns the distance of an agent.
        counters: Count what is ahead of requests.
    """

    def __init__(
        self,
        tree: PrefixTree,
        paths: Callable[[int], Iterable[Sequence[Any]]],
        distance: Callable[[int], float],
        counters: MoveCounters,
    ) -> None:
        self._tree = tree
        self._paths = paths
        self._distance = distance
        self._counters = counters
        self._under_way: dict[int, list[Any]] = {}
        self._tokens: dict[int, int] = {}
        self._queued_tokens = 0
        self._requests_wait = False

    def __contains__(self, key: int) -> bool:
        return key in self._under_way

    def __len__(self) -> int:
        return len(self._under_way)

    def ahead(self, key: int) -> MoveOutcome:
        """Begin to copy an agent's prefixes before its requests come.

        Returns:
            BUSY while the link is full, requests wait for it, or what is in use may leave room.
        """
        if self._requests_wait:
            return MoveOutcome.BUSY
        before = self._tokens.get(key, 0)
        growing = len(self._tree.keys_in_use())
        outcome = self._start(key, self._distance(key), TOKENS_A_TRANSFER, growing, ahead=True)
        begun = self._tokens.get(key, 0) - before
        if begun:
            self._counters.issue(key, begun * self._tree.bytes_per_token)
        if outcome is not MoveOutcome.REFUSED:
            return outcome
        return MoveOutcome.BUSY if self._tree.keys_in_use() else self._counters.refuse()

    def bring(self, keys: Iterable[int], hidden: int, running: int = 0) -> Arrivals:
        """Requests of these agents wait, in this order: begin to copy what the device lacks.

        Args:
            keys: The agents.
            hidden: Tokens of copies that passes hide.
            running: Requests besides, which grow too.

        Returns:
            Who waits for a copy; nobody where passes hide all of them, layer by layer.
        """
        coming, missing, growing = set(), {}, running
        for key in keys:
            growing += 1
            tokens, comes = self._look(key)
            if tokens:
                missing[key] = tokens
            elif comes:
                coming.add(key)
        if sum(missing.values()) + self._under_way_tokens(coming) <= hidden:
            return NO_ARRIVALS
        at_once = max(TOKENS_A_TRANSFER, sum(missing.values()) // TRANSFERS)
        growing -= len(missing)
        for key in list(missing):
            # Whatever is not asked for now gives way; where that is not enough, others end first.
            growing += 1
            outcome = self._start(key, NEEDED, at_once, growing, ahead=False)
            if outcome not in (MoveOutcome.STARTED, MoveOutcome.DONE):
                break
            coming.add(key)
            del missing[key]
        self.submit()
        self._requests_wait = bool(missing)
        return Arrivals(frozenset(coming), frozenset(missing), self._under_way_tokens(coming))

    def submit(self) -> None:
        """Submit what was begun as one transfer."""
        if self._queued_tokens:
            self._tree.start_loads()
            self._queued_tokens = 0

    def arrived(self) -> list[int]:
        """Return the agents all of whose copies arrived since the last call; once a pass."""
        self._requests_wait = False  # until `bring` says so again
        loading = self._tree.is_loading
        found = [key for key, nodes in self._under_way.items() if not any(map(loading, nodes))]
        for key in found:
            del self._under_way[key], self._tokens[key]
        return found

    def forget(self) -> None:
        """Forget all copies: the cache was flushed."""
        self._under_way.clear()
        self._tokens.clear()
        self._queued_tokens = 0

    def _under_way_tokens(self, keys: Iterable[int]) -> int:
        """Return tokens of copies under way; what agents share counts once, where it was begun."""
        return sum(self._tokens.get(key, 0) for key in keys)

    def _look(self, key: int) -> tuple[int, bool]:
        """Return how many tokens of an agent are in host memory alone.

        And whether a copy is under way of what it has, or shares with another.
        """
        tree, tokens, comes = self._tree, 0, key in self._under_way
        for path in self._paths(key):
            if not path:
                continue
            if tree.on_host(path[-1]):
                tokens += sum(tree.tokens_of(node) for node in path if not tree.on_device(node))
            comes = comes or tree.is_loading(path[-1])
        return tokens, comes

    def _start(
        self, key: int, farther_than: float, at_once: int, growing: int, *, ahead: bool
    ) -> MoveOutcome:
        """Queue an agent's host nodes for the device in place of what is farther.

        From `at_once` tokens on a transfer takes no further prefix. So many requests grow.
        """
        tree, outcome = self._tree, MoveOutcome.DONE
        for path in self._paths(key):
            missing = [node for node in path if not tree.on_device(node)]
            if not missing or not tree.on_host(missing[-1]):
                continue
            tokens = sum(map(tree.tokens_of, missing))
            if self._queued_tokens >= at_once:
                self.submit()
            if not tree.can_load(ahead=ahead):
                return MoveOutcome.BUSY
            growth = GROWTH_TOKENS * growing
            most = LEAVES_A_FETCH if ahead else None
            room = tree.make_room(tokens + growth, farther_than, most)
            if room is not MoveOutcome.DONE:
                return room
            if not tree.load(missing[-1]):
                return MoveOutcome.REFUSED
            self._queued_tokens += tokens
            self._under_way.setdefault(key, []).append(missing[-1])
            self._tokens[key] = self._tokens.get(key, 0) + tokens
            outcome = MoveOutcome.STARTED
        return outcome

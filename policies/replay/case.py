"""One question to a policy: this trace, this much memory, this much foresight."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scalesim.errors import InvalidRequestError
from scalesim.policies.distance.learned import Learned
from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.batches import Batches, BatchRun, cut, dealt, fetching, on_demand
from scalesim.policies.replay.costs import Costs
from scalesim.policies.replay.guard import guarded
from scalesim.policies.replay.hints import (
    Hints,
    backed,
    expiring,
    no_hints,
    noisy_hints,
    oracle_hints,
    reported_hints,
)
from scalesim.policies.replay.learned_hints import learned_hints
from scalesim.policies.replay.more_state import Adapters, HostTier, adapter_hints, copies
from scalesim.policies.replay.orders.hinted import farthest_first
from scalesim.policies.replay.timeline import TimelineRun, demand_only, prefetching

Capacity = float | int
"""A share of the trace's agents (float up to 1), or bytes (int)."""

MOST_NOISE = 100.0
"""Spread past which lognormal factors are no longer numbers."""


class Case:
    """A trace with everything derived from it once.

    Args:
        trace: The requests.
        capacity: Share of the distinct agents, rounded down, at least one; or bytes.
        hints: `reported`, `learned`, `none` or `noisy:SIGMA`, the spread of a lognormal factor.
        prefetch: Play the trace against the link; else plain demand caching.
        costs: Costs of state and requests.
        seed: Seed of the noise.
        at_once: Requests of a step that run together at most, as far as they fit, as an engine
            serves them; None: one after the other. The trace's requests are dealt to batches
            then, within their steps.
        pause_s: Between steps, with `at_once`.
        host: Where host memory does not hold all states, with `at_once`.
        adapters: Adapters of the agents, with `at_once`.
    """

    def __init__(
        self,
        trace: Trace,
        capacity: Capacity,
        hints: str = "reported",
        prefetch: bool = True,
        costs: Costs | None = None,
        seed: int = 0,
        *,
        at_once: int | None = None,
        pause_s: float = 0.0,
        host: HostTier | None = None,
        adapters: Adapters | None = None,
    ) -> None:
        self.trace = trace
        self.prefetch = prefetch
        self.costs = costs or Costs()
        self.state_bytes = self.costs.state_bytes(trace)
        self.load_s = self.costs.load_s(self.state_bytes)
        self.unit_sizes = isinstance(capacity, float)
        if self.unit_sizes:
            self.capacity = max(int(capacity * len(trace.names)), 1)
            self.sizes = np.ones(len(trace.names), np.int64)
        else:
            self.capacity = int(capacity)
            self.sizes = self.state_bytes
        self._foresight = _foresight(hints, seed)
        self._host, self._adapters = host, adapters
        self._batches = None if at_once is None else self._deal(at_once, pause_s)

    @cached_property
    def following(self) -> Hints:
        """Hints that name every agent's next request, as only an oracle could."""
        return oracle_hints(self.trace)

    @cached_property
    def learned(self) -> Hints:
        """What the learners predict from the requests alone."""
        fitting = max(int(self.capacity / max(self.sizes.mean(), 1.0)), 1)
        return learned_hints(self.trace, Learned(len(self.trace.names), fitting))

    @cached_property
    def reported(self) -> Hints:
        """The simulation's reports unchanged, for policies without a guard."""
        return no_hints() if self._foresight is None else self._foresight(self.trace)

    @cached_property
    def hints(self) -> Hints:
        """What the simulation reports, expiring; learned where it reports nothing; guarded.

        Learned hints alone need no guard where nothing is fetched ahead: recency is one of the
        learners, scored by the same hits, and a second judge would only add its own delay.
        """
        if self._foresight is None:
            return no_hints()
        if not self.prefetch and len(self.reported.at) == 0:
            return self.learned
        patience = 2 * len(self.trace.agent) / len(np.unique(self.trace.step))
        reported = expiring(self.reported, patience)
        both = backed(reported, self.learned, len(self.trace.names))
        return guarded(self.trace, [both, self.learned], self.quality)

    def follow(self, hints: Hints) -> TimelineRun:
        """Return what keeping, and fetching where allowed, by `hints` does."""
        if self.prefetch and self._batches is not None:
            agent, sizes, most = self.trace.agent, self.sizes, self.capacity
            load_s, host = self.load_s, self._host
            if host is not None and not self._holds_a_batch(host):  # no room to read ahead into
                load_s, host = load_s + host.read_s, None
            run = fetching(agent, self._batches, sizes, most, hints, load_s)
            delay_s = np.maximum(run.delay_s, self._reads_s(hints, host))
            return self._shared(run._replace(delay_s=delay_s + self._adapters_s(hints)))
        if self.prefetch:
            return prefetching(
                self.trace.agent,
                self.sizes,
                self.capacity,
                hints,
                self.load_s,
                self.costs.service_s(self.trace),
            )
        return self.demand(farthest_first(self.trace.agent, self.sizes, self.capacity, hints))

    def demand(self, hits: NDArray[np.bool_]) -> TimelineRun:
        """Return what never fetching ahead does, given the hits."""
        if self._batches is not None:
            waits = copies(
                self.trace.agent, hits, self.state_bytes, self.load_s, self._host, self._adapters
            )
            return self._shared(on_demand(hits, waits, self._batches))
        return demand_only(hits, self.trace.agent, self.load_s)

    @property
    def _unhidden(self) -> Batches:
        assert self._batches is not None
        return self._batches._replace(hidden_s=np.zeros(len(self._batches.run_s)))

    def _holds_a_batch(self, host: HostTier) -> bool:
        sizes, begins = self.state_bytes[self.trace.agent], self._unhidden.begins
        return bool(host.capacity >= np.add.reduceat(sizes, begins[:-1]).max(initial=0))

    def _reads_s(self, hints: Hints, host: HostTier | None) -> NDArray[np.float64] | float:
        """Return float64[batches], how long each waits for storage that is read ahead."""
        if host is None:
            return 0.0
        agent, sizes = self.trace.agent, self.state_bytes
        return fetching(agent, self._unhidden, sizes, host.capacity, hints, host.read_s).delay_s

    def _adapters_s(self, hints: Hints) -> NDArray[np.float64] | float:
        """Return float64[batches], how long each waits for adapters that are fetched ahead."""
        of = self._adapters
        if of is None:
            return 0.0
        batches = self._unhidden
        load_s = np.full(of.number, of.link_s + of.start_s)
        most = max(of.slots, int(np.diff(batches.begins).max(initial=0)))
        due, one = adapter_hints(hints, of), np.ones(of.number, np.int64)
        return fetching(of.of[self.trace.agent], batches, one, most, due, load_s).delay_s

    def _deal(self, at_once: int, pause_s: float) -> Batches:
        trace = self.trace
        order = dealt(trace.step, trace.agent, self.sizes, self.capacity, at_once)
        prompts, outputs = trace.prompt_tokens[order], trace.output_tokens[order]
        trace = trace._replace(
            agent=trace.agent[order], prompt_tokens=prompts, output_tokens=outputs
        )
        self.trace = trace
        begins = cut(trace.step, trace.agent, self.sizes, self.capacity, at_once)
        run_s = self.costs.together_s(trace, begins[:-1])
        step = np.append(trace.step[begins[:-1]], -1)
        pauses_s = np.where(np.diff(step) != 0, pause_s, 0.0)
        return Batches(begins, run_s, np.diff(begins) * self.costs.prefill_s, pauses_s)

    @property
    def service_s(self) -> NDArray[np.float64]:
        """Return float64[n], engine seconds of each request; of a batch an equal part."""
        if self._batches is None:
            return self.costs.service_s(self.trace)
        requests = np.diff(self._batches.begins)
        return np.repeat(self._batches.run_s / requests, requests)

    def _shared(self, run: BatchRun) -> TimelineRun:
        """Deal what batches took longer to their requests."""
        assert self._batches is not None
        requests = np.diff(self._batches.begins)
        stall_s = np.repeat(run.delay_s / requests, requests)
        return TimelineRun(run.hits, stall_s, 0, 0, 0, np.zeros(len(self.sizes), np.int64))

    def quality(self, hints: Hints) -> NDArray[np.float64]:
        """Return how well following `hints` serves each request: 1 for a hit, 0 for a load."""
        return 1.0 - self.follow(hints).stall_s / self.load_s[self.trace.agent]


def _foresight(hints: str, seed: int) -> Callable[[Trace], Hints] | None:
    """Return what foresees the requests of a trace, or None where nothing does."""
    kind, _, value = hints.partition(":")
    if hints == "none":
        return None
    if hints == "learned":
        return lambda trace: no_hints()
    if hints == "reported":
        return reported_hints
    if kind == "noisy":
        try:
            sigma = float(value)
        except ValueError:
            sigma = -1.0
        if 0 <= sigma <= MOST_NOISE:
            rng = np.random.default_rng(seed)
            return lambda trace: noisy_hints(reported_hints(trace), sigma, rng)
    raise InvalidRequestError(
        f"hints {hints!r} are not known: use reported, learned, none, or noisy:SIGMA with "
        f"SIGMA from 0 to {MOST_NOISE:g}",
        "hints",
    )

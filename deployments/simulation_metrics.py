"""Tokens of each simulation, for as many simulations as are worth a series of their own."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

OTHERS = "-"
"""Stands for all simulations without a series; none can have this name."""

MOST = 100
IDLE_S = 600.0
"""A series goes to another simulation once its own was silent for this long."""


@dataclass(slots=True)
class _Counts:
    seen_at: float
    found: int = 0
    computed: int = 0
    generated: int = 0


class SimulationMetrics(Collector):
    """Counts tokens by simulation; the sum over all series never goes back.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._others = _Counts(clock())
        self._simulations: OrderedDict[str, _Counts] = OrderedDict()

    def prompt(self, simulation: str, found: int, computed: int) -> None:
        """Count the prompt tokens of a request."""
        counts = self._counts_of(simulation)
        counts.found += found
        counts.computed += computed

    def generated(self, simulation: str, tokens: int) -> None:
        """Count the tokens of an answer."""
        self._counts_of(simulation).generated += tokens

    def collect(self) -> Iterator[Metric]:
        """Yield one counter of `MOST` simulations and the others, by what was done with tokens."""
        family = CounterMetricFamily(
            "scalesim_simulation_tokens",
            "Prompt tokens found and computed, and tokens generated, of the 100 simulations active "
            "last; `-` is all others.",
            labels=["simulation", "tokens"],
        )
        for name, counts in ((OTHERS, self._others), *self._simulations.items()):
            for tokens in ("found", "computed", "generated"):
                family.add_metric([name, tokens], getattr(counts, tokens))
        yield family

    def _counts_of(self, simulation: str) -> _Counts:
        now = self._clock()
        counts = self._simulations.get(simulation)
        if counts is None:
            if len(self._simulations) >= MOST and not self._retire(now):
                return self._others
            counts = self._simulations[simulation] = _Counts(now)
        counts.seen_at = now
        self._simulations.move_to_end(simulation)
        return counts

    def _retire(self, now: float) -> bool:
        """Give the series silent for longest to the others; False where all are in use."""
        oldest = next(iter(self._simulations.values()))
        if oldest.seen_at > now - IDLE_S:
            return False
        self._simulations.popitem(last=False)
        self._others.found += oldest.found
        self._others.computed += oldest.computed
        self._others.generated += oldest.generated
        return True

"""Metrics of the ingress, in its own registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from scalesim.controller.metrics import of_loops
from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.deployments.simulation_metrics import SimulationMetrics
from scalesim.errors import ScaleSimError
from scalesim.headers import CachedTokens
from scalesim.vocabulary import STRAGGLER

_TOKEN_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class IngressMetrics:
    """Requests and tokens by the tier they were found in; times to first piece and to the end.

    Args:
        loops: The ingress' own, which may be added later.

    Attributes:
        waiting: Requests that have not got their first piece yet.
        in_rotation: Replicas that requests go to.
        hints_dropped: Documents of hints inside requests that did not reach the controller.
    """

    def __init__(self, loops: Sequence[BackgroundLoop] = ()) -> None:
        registry = self._registry = CollectorRegistry()
        registry.register(_Loops(loops))
        self._requests = Counter(
            "scalesim_requests",
            "Requests answered, by the coldest tier that had to be read and by status.",
            ["residency", "status"],
            registry=registry,
        )
        self._tokens = Counter(
            "scalesim_prompt_tokens",
            "Prompt tokens, by the tier that held them; `miss`: computed.",
            ["found"],
            registry=registry,
        )
        self._output = Counter(
            "scalesim_output_tokens",
            "Tokens generated, of answers that came to their end.",
            registry=registry,
        )
        self._refused = Counter(
            "scalesim_refused", "Requests refused, by error code.", ["code"], registry=registry
        )
        self._retried = Counter(
            "scalesim_retried", "Requests sent again after a replica was lost.", registry=registry
        )
        self._broken = Counter(
            "scalesim_streams_broken",
            "Streams that broke off because their replica was lost.",
            registry=registry,
        )
        self.waiting = Gauge(
            "scalesim_requests_waiting",
            "Requests that have no first byte of their answer yet.",
            registry=registry,
        )
        self.in_rotation = Gauge(
            "scalesim_ingress_replicas",
            "Replicas that this process of the ingress sends requests to.",
            registry=registry,
        )
        self.hints_dropped = Counter(
            "scalesim_ingress_hints_dropped",
            "Documents of hints inside requests that did not reach the controller.",
            registry=registry,
        )
        self._first = Histogram(
            "scalesim_first_piece_seconds",
            "Time to the first token of a stream, or to the whole answer.",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._whole = Histogram(
            "scalesim_request_seconds",
            "Time to the end of an answer.",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._each = Histogram(
            "scalesim_output_token_seconds",
            "Time of a token of a stream after its first, on average over the stream.",
            buckets=_TOKEN_BUCKETS_S,
            registry=registry,
        )
        self._stragglers = Counter(
            "scalesim_stragglers",
            "Answers that took more than twice the median of those before them.",
            registry=registry,
        )
        self._typical = _Typical()
        self._simulations = SimulationMetrics()
        registry.register(self._simulations)

    def answered(self, simulation: str, found: CachedTokens, status: int, seconds: float) -> None:
        """Count the begin of an answer: its head and first piece."""
        self._requests.labels(found.residency, status).inc()
        self._first.observe(seconds)
        missed = max(0, found.prompt - found.device - found.host - found.storage)
        counts = {"device": found.device, "host": found.host, "storage": found.storage}
        for tier, tokens in (counts | {"miss": missed}).items():
            self._tokens.labels(tier).inc(tokens)
        self._simulations.prompt(simulation, sum(counts.values()), missed)

    def ended(self, simulation: str, output_tokens: int, seconds: float) -> None:
        """Count the end of an answer; one that broke off or was given up has none."""
        self._output.inc(output_tokens)
        self._simulations.generated(simulation, output_tokens)
        self._whole.observe(seconds)
        if seconds > STRAGGLER * self._typical.seconds:
            self._stragglers.inc()
        self._typical.add(seconds)

    def streamed(self, output_tokens: int, seconds: float) -> None:
        """Count the end of a stream, `seconds` after its first piece."""
        if output_tokens > 1:
            self._each.observe(seconds / (output_tokens - 1))

    def refused(self, error: ScaleSimError) -> None:
        """Count one refusal."""
        self._refused.labels(error.code).inc()

    def retried(self) -> None:
        """Count a request that goes to another replica."""
        self._retried.inc()

    def broken(self) -> None:
        """Count a stream whose replica died after the first piece."""
        self._broken.inc()

    def families(self) -> list[Metric]:
        """Return all metric families with their present values."""
        return list(self._registry.collect())


def exposition(processes: Iterable[tuple[str, Sequence[Metric]]]) -> str:
    """Return what processes of the ingress count, each under its name, in Prometheus' text format.

    One that is restarted has another name, so that no sum over all goes back by what it counted.
    """
    registry = CollectorRegistry()
    registry.register(_Together(processes))
    return generate_latest(registry).decode()


class _Together(Collector):
    def __init__(self, processes: Iterable[tuple[str, Sequence[Metric]]]) -> None:
        self._families: dict[str, Metric] = {}
        for name, families in processes:
            for one in families:
                all_of_it = self._families.setdefault(
                    one.name, Metric(one.name, one.documentation, one.type)
                )
                all_of_it.samples += [
                    sample._replace(labels={**sample.labels, "ingress": name})
                    for sample in one.samples
                ]

    def collect(self) -> Iterator[Metric]:
        return iter(self._families.values())


class _Loops(Collector):
    def __init__(self, loops: Sequence[BackgroundLoop]) -> None:
        self._loops = loops

    def collect(self) -> Iterator[Metric]:
        return of_loops("ingress", {loop.name: loop.status() for loop in self._loops})


class _Typical:
    """Median of the last 256 durations, brought up to date with every sixteenth.

    Attributes:
        seconds: The median; inf before there are sixteen.
    """

    def __init__(self) -> None:
        self.seconds = float("inf")
        self._last = np.zeros(256)
        self._count = 0

    def add(self, seconds: float) -> None:
        self._last[self._count % self._last.size] = seconds
        self._count += 1
        if self._count % 16 == 0:
            self.seconds = float(np.median(self._last[: self._count]))

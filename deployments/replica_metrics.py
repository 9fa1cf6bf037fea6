"""What only a replica knows of itself: requests in it, its engine's health, its loops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from scalesim.controller.metrics import of_loops

if TYPE_CHECKING:
    from scalesim.controller.runtime.background import BackgroundLoop
    from scalesim.deployments.controller_link import Link


class ReplicaMetrics(Collector):
    """Counts on the event loop, is collected in any thread; as a context it counts a request.

    Its value there is when that came, for `first`.

    What the replica holds and moves is the controller's to tell.

    Args:
        name: Name of the replica.
        device: What its engine computes on: `cuda`, `cpu`, or `emulated-` and a GPU's name, whose
            times are then made up.

    Attributes:
        link: Its link to the controller, once there is one.
        watching: What looks after its engine, once there is one.
        in_engine: Returns how many requests its engine has not ended, aborted ones included.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.link: Link | None = None
        self.watching: BackgroundLoop | None = None
        self.in_engine: Callable[[], int] = lambda: 0
        self._name = name
        self._device = device
        self._begun = self._ended = 0
        self._probes, self._probed_s = 0, 0.0
        self._firsts, self._first_s = 0, 0.0
        self._generated = 0

    def __enter__(self) -> float:
        self._begun += 1
        return time.perf_counter()

    def __exit__(self, *fault: object) -> None:
        self._ended += 1

    def first(self, came_at: float) -> None:
        """Count the first piece of an answer; `came_at` is when its request came."""
        self._firsts += 1
        self._first_s += time.perf_counter() - came_at

    def generated(self, tokens: int) -> None:
        """Count the tokens of an answer that came to its end."""
        self._generated += tokens

    def probed(self, seconds: float) -> None:
        """Count a health check of the engine, good or not."""
        self._probes += 1
        self._probed_s += seconds

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        yield self._counter(
            "scalesim_replica_requests", "Requests begun in this replica.", self._begun
        )
        text = "Tokens generated, of answers that came to their end."
        yield self._counter("scalesim_replica_output_tokens", text, self._generated)
        text = "Time in the replica to the first token of a stream, or to the whole answer."
        name = "scalesim_replica_first_piece_seconds"
        firsts = SummaryMetricFamily(name, text, labels=["replica"])
        firsts.add_metric([self._name], self._firsts, self._first_s)
        yield firsts
        text = "Requests in this replica now."
        running = GaugeMetricFamily("scalesim_replica_requests_running", text, labels=["replica"])
        running.add_metric([self._name], self._begun - self._ended)
        text = "Requests that its engine has not ended; an aborted one counts until the engine "
        text += "reports its end."
        inside = GaugeMetricFamily("scalesim_replica_engine_requests", text, labels=["replica"])
        inside.add_metric([self._name], self.in_engine())
        text = "Time that its engine takes to answer a health check."
        probes = SummaryMetricFamily("scalesim_replica_probe_seconds", text, labels=["replica"])
        probes.add_metric([self._name], self._probes, self._probed_s)
        text = "What its engine computes on; the times of an emulated device are made up."
        device = GaugeMetricFamily("scalesim_replica_info", text, labels=["replica", "device"])
        device.add_metric([self._name, self._device], 1)
        yield from (running, inside, probes, device)
        loops = [] if self.watching is None else [self.watching]
        if self.link is not None:
            yield self._counter(
                "scalesim_replica_engine_messages",
                "Messages received from its engine.",
                self.link.heard,
            )
            text = "Times its engine was asked to report all of its residency."
            yield self._counter("scalesim_replica_resyncs", text, self.link.resyncs)
            loops += self.link.loops
        statuses = {loop.name: loop.status() for loop in loops}
        yield from of_loops("replica", statuses, self._name)

    def _counter(self, name: str, text: str, total: int) -> Metric:
        family = CounterMetricFamily(name, text, labels=["replica"])
        family.add_metric([self._name], total)
        return family

"""The controller's status as Prometheus metrics; labels grow with replicas and verbs only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TIERS = ("device", "host", "storage")


def exposition(status: dict[str, Any]) -> str:
    """Return a status, as `ControllerActor.status` gives it, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Status(status))
    return generate_latest(registry).decode()


class _Status(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status, catalog = self._status, self._status["catalog"]
        tiers = {tier: status["agents"][tier] for tier in (*_TIERS, "absent")}
        yield _gauge("agents", "Agents by the hottest tier with state of theirs.", "tier", tiers)
        yield _gauge(
            "agents_pinned", "Agents pinned to the device.", value=status["agents"]["pinned"]
        )
        yield _gauge("simulations", "Simulations alive.", value=len(status["simulations"]))
        yield _gauge("replicas", "Replicas alive.", value=len(status["replicas"]))
        yield from self._replica_bytes()
        yield _gauge("controller_table_bytes", "Memory of the table.", value=status["table_bytes"])
        for quantile, seconds in status["plan_s"].items():
            yield _gauge(f"controller_plan_{quantile}_seconds", "Time of a plan.", value=seconds)
        for name, total in status["counters"].items():
            yield _counter(f"controller_{name}", f"Controller: {name.replace('_', ' ')}.", total)
        moves = CounterMetricFamily(
            "scalesim_controller_directives", "Moves sent to replicas.", labels=["verb"]
        )
        for verb, total in status["directives"].items():
            moves.add_metric([verb], total)
        yield moves
        for name, loop in status["loops"].items():
            yield _counter(f"controller_{name}_loop_crashes", "Crashes survived.", loop["crashes"])
        yield _gauge("catalog_up", "Whether the last write arrived.", value=catalog["ok"])
        yield _gauge("catalog_lag_seconds", "How long it has been behind.", value=catalog["lag_s"])
        yield _gauge("catalog_unsaved_rows", "Rows not written yet.", value=status["unsaved"])
        for name in ("flushes", "rows", "failures", "losses"):
            yield _counter(f"catalog_{name}", f"Catalog: {name}.", catalog[name])

    def _replica_bytes(self) -> Iterable[Metric]:
        used = GaugeMetricFamily(
            "scalesim_replica_bytes", "Agent state held.", labels=["replica", "tier"]
        )
        budget = GaugeMetricFamily(
            "scalesim_replica_budget_bytes", "Room for agent state.", labels=["replica", "tier"]
        )
        for name, replica in self._status["replicas"].items():
            for tier in _TIERS:
                used.add_metric([name, tier], replica[f"{tier}_bytes"])
                if replica["budgets"]:
                    budget.add_metric([name, tier], replica["budgets"][f"{tier}_bytes"])
        return used, budget


def _gauge(
    name: str,
    text: str,
    label: str | None = None,
    values: dict[str, float] | None = None,
    value: float | None = None,
) -> GaugeMetricFamily:
    if label is None:
        return GaugeMetricFamily(f"scalesim_{name}", text, value=value)
    gauge = GaugeMetricFamily(f"scalesim_{name}", text, labels=[label])
    for key, number in (values or {}).items():
        gauge.add_metric([key], number)
    return gauge


def _counter(name: str, text: str, total: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"scalesim_{name}", text, value=total)

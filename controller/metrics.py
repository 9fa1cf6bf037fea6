"""The controller's status as Prometheus metrics.

Labels grow with replicas, kinds, verbs and the largest simulations, never with agents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scalesim.controller.simulations import NO_SIMULATION_NAME
from scalesim.vocabulary import TIERS

_OUTCOMES = ("issued", "used", "late", "wasted")

MOST_SIMULATIONS = 100
"""The largest are shown one by one: a thousand small ones would be a thousand series each."""

_CRASHES = "Rounds of a background loop that failed; the loop went on."

_COUNTERS = {
    "reports": "Batches of distances accepted.",
    "updates": "Distances accepted.",
    "ignored": "Distances ignored: NaN, negative, another simulation's agent, or the table full.",
    "stale_reports": "Batches refused because their epoch was older than the newest one.",
    "plans": "Plans made, each for one replica.",
    "resyncs": "Polls answered with the request to attach again.",
    "replicas_lost": "Replicas whose lease ran out.",
    "simulations_expired": "Simulations whose lease ran out.",
}
"""What the controller counts, by the field of `controller_status.Counters`."""

_CATALOG_COUNTERS = {
    "flushes": "Batches written to the catalog.",
    "rows": "Rows written to the catalog.",
    "failures": "Writes to the catalog that failed; their rows are written again.",
    "losses": "Times the catalog was found empty or replaced, and written again.",
}


SCRAPE_S = 5.0
"""Longest a scrape waits for the event loop."""


def exposition(status: dict[str, Any]) -> str:
    """Return a status, as `ControllerActor.status` gives it, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(status))
    return generate_latest(registry).decode()


def of_loops(
    process: str, loops: Mapping[str, Mapping[str, float]], replica: str = ""
) -> Iterator[Metric]:
    """Return metrics that say whether a process's background loops still run.

    Args:
        process: `controller`, `ingress` or `replica`.
        loops: What `BackgroundLoop.status` says, by name.
        replica: Which replica.
    """
    labels = ["process", "replica", "loop"]
    text = "Seconds for which a background loop has done nothing; 0 while it waits for work."
    stalled = GaugeMetricFamily("scalesim_loop_stalled_seconds", text, labels=labels)
    crashes = CounterMetricFamily("scalesim_loop_crashes", _CRASHES, labels=labels)
    for name, loop in loops.items():
        stalled.add_metric([process, replica, name], loop["stalled_s"])
        crashes.add_metric([process, replica, name], loop["crashes"])
    yield from (stalled, crashes)


class StatusOnLoop(Collector):
    """A status that only the event loop may read, for a thread that scrapes.

    Args:
        status: `ControllerActor.status`; must be made inside its event loop.
    """

    def __init__(self, status: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> None:
        self._status = status
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterator[Metric]:
        """Return the metrics.

        Raises:
            TimeoutError: The event loop did not answer.
        """
        read = asyncio.run_coroutine_threadsafe(self._status(), self._loop)
        return StatusCollector(read.result(SCRAPE_S)).collect()


class StatusCollector(Collector):
    """One status as metrics.

    Args:
        status: As `ControllerActor.status` gives it.
    """

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status
        simulations = status["simulations"]
        self._shown = sorted(simulations, key=lambda name: -simulations[name]["agents"])
        del self._shown[MOST_SIMULATIONS:]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._agents()
        yield from self._hints()
        yield from self._simulations()
        yield from self._learned()
        yield from self._replicas()
        yield from self._transfers()
        yield from self._controller()
        yield from self._catalog()

    def _agents(self) -> Iterator[Metric]:
        agents = self._status["agents"]
        tiers = {tier: agents[tier] for tier in (*TIERS, "absent")}
        yield _gauges(
            "scalesim_agents",
            "Agents, by the hottest tier that holds some of their state.",
            "tier",
            tiers,
        )
        yield _gauge("scalesim_agents_pinned", "Agents pinned to the device.", agents["pinned"])
        yield _gauge(
            "scalesim_agents_with_distance",
            "Agents with a finite invocation distance.",
            agents["with_distance"],
        )

    def _hints(self) -> Iterator[Metric]:
        text = "Payloads that came into use, by the distance reported for them at that moment, "
        text += "rounded up; `none`: no distance was reported."
        yield _counters("scalesim_uses", text, "reported", self._status["uses"])
        text = "Payloads that came into use, by the hottest tier that held some of them."
        found = CounterMetricFamily("scalesim_payload_uses", text, labels=["kind", "tier"])
        for kind, tiers in self._status["found"].items():
            for tier, count in tiers.items():
                found.add_metric([kind, tier], count)
        yield found
        hints = self._status["hints"]
        text = "Steps by which uses came before (`early`) or after (`late`) the step reported for "
        text += "them, summed."
        wrong = {side: hints[f"{side}_steps"] for side in ("early", "late")}
        yield _counters("scalesim_hint_error_steps", text, "side", wrong)
        text = "Steps between the report of a distance and the use it foresaw, summed."
        yield _counter("scalesim_hint_age_steps", text, hints["age_steps"])
        text = (
            "Of a sample of repeated requests, the share whose state was on the device (`stack`), "
        )
        text += "would have been by least recent use (`lru`), or with knowledge of the future and "
        text += "no prefetch (`oracle`)."
        yield _gauges("scalesim_device_hit_ratio", text, "order", self._status["hits"])

    def _simulations(self) -> Iterator[Metric]:
        simulations = self._status["simulations"]
        yield _gauge("scalesim_simulations", "Simulations alive.", len(simulations))
        for name, field, text in (
            ("epoch", "epoch", "Newest step reported."),
            ("agents", "agents", "Agents it reported."),
            ("step_seconds", "step_s", "Duration of its last step."),
            ("silent_seconds", "silent_s", "Time since its last report."),
        ):
            values = {each: simulations[each][field] for each in self._shown}
            yield _gauges(f"scalesim_simulation_{name}", text, "simulation", values)

    def _learned(self) -> Iterator[Metric]:
        labels = ["simulation", "learner"]
        text = "Of the requests of agents without a reported distance, the share that this learner "
        text += "would have served from the device."
        shares = GaugeMetricFamily("scalesim_learner_hit_ratio", text, labels=labels)
        text = "1 for the learner whose order is used, 0 for the others."
        leads = GaugeMetricFamily("scalesim_learner_leads", text, labels=labels)
        for name, state in self._status["learned"].items():
            if name not in (*self._shown, NO_SIMULATION_NAME):
                continue
            for learner, share in state["hit_shares"].items():
                shares.add_metric([name, learner], share)
                leads.add_metric([name, learner], learner == state["leader"])
        yield from (shares, leads)

    def _replicas(self) -> Iterator[Metric]:
        replicas = self._status["replicas"]
        yield _gauge("scalesim_replicas", "Replicas alive.", len(replicas))
        labels = ["replica", "kind", "tier"]
        used = GaugeMetricFamily(
            "scalesim_replica_bytes", "Agent state held, in bytes.", labels=labels
        )
        text = "Agents of which it holds some state."
        holders = GaugeMetricFamily("scalesim_replica_residents", text, labels=labels)
        text = "Room for agent state, in bytes."
        room = GaugeMetricFamily("scalesim_replica_budget_bytes", text, labels=["replica", "tier"])
        for name, replica in replicas.items():
            for tier in TIERS:
                for kind, held in replica["kinds"].items():
                    used.add_metric([name, kind, tier], held[f"{tier}_bytes"])
                    holders.add_metric([name, kind, tier], held[f"{tier}_agents"])
                if replica["budgets"]:
                    room.add_metric([name, tier], replica["budgets"][f"{tier}_bytes"])
        yield from (used, holders, room)
        agents = {name: replica["agents"] for name, replica in replicas.items()}
        yield _gauges(
            "scalesim_replica_agents", "Agents placed on this replica.", "replica", agents
        )
        broken = {
            name: any(transfer["fault"] for transfer in replica["transfers"].values())
            for name, replica in replicas.items()
        }
        text = "1 while its storage tier has failed and is off."
        yield _gauges("scalesim_replica_storage_broken", text, "replica", broken)
        silent = {name: replica["silent_s"] for name, replica in replicas.items()}
        yield _gauges(
            "scalesim_replica_silent_seconds",
            "Time since it polled for directives.",
            "replica",
            silent,
        )

    def _transfers(self) -> Iterator[Metric]:
        labels = ["replica", "kind"]
        prefetches = CounterMetricFamily(
            "scalesim_prefetches",
            "Prefetches, by what became of them.",
            labels=[*labels, "outcome"],
        )
        moved = CounterMetricFamily(
            "scalesim_prefetch_bytes",
            "Bytes prefetched, by what became of them.",
            labels=[*labels, "outcome"],
        )
        evicted = CounterMetricFamily(
            "scalesim_evictions",
            "Evictions from the device, by the plan or under pressure.",
            labels=[*labels, "cause"],
        )
        for name, replica in self._status["replicas"].items():
            for kind, transfer in replica["transfers"].items():
                prefetches.add_metric([name, kind, "refused"], transfer["refused"])
                for outcome in _OUTCOMES:
                    prefetches.add_metric([name, kind, outcome], transfer[outcome])
                    moved.add_metric([name, kind, outcome], transfer[f"{outcome}_bytes"])
                for cause in ("plan", "pressure"):
                    evicted.add_metric([name, kind, cause], transfer[f"evicted_by_{cause}"])
        yield from (prefetches, moved, evicted)

    def _controller(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge(
            "scalesim_controller_table_bytes", "Memory of the payload table.", status["table_bytes"]
        )
        text = "Time that a replica is asked to leave between two updates; longer when busy."
        yield _gauge(
            "scalesim_controller_update_interval_seconds", text, status["update_interval_s"]
        )
        text = "Time of a tick: leases, what is forgotten, levelling."
        yield _gauges("scalesim_tick_seconds", text, "quantile", status["tick_s"])
        yield _gauges(
            "scalesim_plan_seconds", "Time that a plan takes.", "quantile", status["plan_s"]
        )
        text = "Time from a plan to its replica's acknowledgement."
        yield _gauges("scalesim_directive_seconds", text, "quantile", status["directive_s"])
        for name, total in status["counters"].items():
            yield _counter(f"scalesim_controller_{name}", _COUNTERS[name], total)
        moves = status["directives"]
        yield _counters(
            "scalesim_controller_directives", "Moves sent to replicas, by verb.", "verb", moves
        )
        yield from of_loops("controller", status["loops"])

    def _catalog(self) -> Iterator[Metric]:
        catalog = self._status["catalog"]
        yield _gauge(
            "scalesim_catalog_up", "1 unless the last write to the catalog failed.", catalog["ok"]
        )
        yield _gauge(
            "scalesim_catalog_lag_seconds",
            "Time since the catalog was last up to date.",
            catalog["lag_s"],
        )
        yield _gauge(
            "scalesim_catalog_dirty_rows",
            "Rows not yet written to the catalog.",
            self._status["dirty_rows"],
        )
        for name, text in _CATALOG_COUNTERS.items():
            yield _counter(f"scalesim_catalog_{name}", text, catalog[name])


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, text: str, total: float) -> Metric:
    return CounterMetricFamily(name, text, value=total)


def _counters(name: str, text: str, label: str, totals: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, total in totals.items():
        family.add_metric([key], total)
    return family

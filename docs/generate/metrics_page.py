"""Every metric with its labels and meaning, from what collects them."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docs.generate.text import one_line
from scalesim.controller.core import Controller
from scalesim.controller.metrics import StatusCollector
from scalesim.deployments.ingress_metrics import IngressMetrics, exposition
from scalesim.deployments.replica_metrics import ReplicaMetrics
from scalesim.errors import ScaleSimError
from scalesim.headers import CachedTokens
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.settings import CatalogSettings, ControllerSettings

_HEAD = """# Metrics
Written by `make generated` from what collects them. No label grows with the number of agents.
[Monitoring](../operations/monitoring.md) says where they are scraped and what to look at.
"""


def page() -> str:
    """Return the page."""
    return "".join(
        (
            _HEAD,
            _table("Of the ingress", "deployments/ingress_metrics.py", _of_ingress()),
            _table("Of the controller", "controller/metrics.py", _of_controller()),
            _table("Of each replica", "deployments/replica_metrics.py", _of_replica()),
        )
    )


def _table(title: str, file: str, families: Iterable[Metric]) -> str:
    rows = [f"\n## {title}\n`{file}`\n\n| name | type | labels | meaning |\n|---|---|---|---|\n"]
    for family in families:
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
        labels |= dict.fromkeys(getattr(family, "_labelnames", ()))
        shown = ", ".join(f"`{label}`" for label in labels if label not in ("le", "quantile"))
        if "quantile" in labels and family.type == "gauge":
            shown = "`quantile`"
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {shown} | {one_line(family.documentation)} |\n")
    return "".join(rows)


def _of_ingress() -> Iterable[Metric]:
    loop = SimpleNamespace(name="rotation", status=lambda: {"stalled_s": 0.0, "crashes": 0})
    metrics = IngressMetrics([cast(Any, loop)])
    metrics.answered("town", CachedTokens(1), 200, 1.0)
    metrics.ended("town", 1, 1.0)
    metrics.refused(ScaleSimError())
    families = text_string_to_metric_families(exposition([("i", metrics.families())]))
    return [family for family in families if not family.name.endswith("_created")]


def _of_controller() -> Iterable[Metric]:
    core = Controller(
        ControllerSettings(), CatalogSettings(), DistancePlanner(), rendezvous, None, 0
    )
    counts = dict.fromkeys(("flushes", "rows", "failures", "losses"), 0)
    catalog = {"ok": True, "error": "", "lag_s": 0.0, **counts}
    return StatusCollector(
        {**core.status(), "update_interval_s": 0.0, "catalog": catalog, "loops": {}}
    ).collect()


def _of_replica() -> Iterable[Metric]:
    metrics = ReplicaMetrics("r")
    metrics.link = cast(Any, SimpleNamespace(heard=0, resyncs=0, loops=()))
    return metrics.collect()

"""The report as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scalesim.simulations.comparison import Outcomes
from scalesim.simulations.report import plots
from scalesim.simulations.workload import Workload
from scalesim.vocabulary import TIERS

_MOST_LINES = 400
"""Lines of the transcript that are shown; the rest is in the file of `--transcript`."""


def render(
    report: dict[str, Any], outcomes: Outcomes, workload: Workload, said: Sequence[str] = ()
) -> str:
    """Return the page for a report document and the calls behind it; `said` is who said what."""
    environment = Environment(
        loader=PackageLoader("scalesim.simulations.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = _duration
    environment.filters["percent"] = _percent
    template = environment.get_template("page.html.j2")
    steered = report["details"].get("scalesim", {})
    return template.render(
        report=report,
        tiers=(*TIERS, "recomputed"),
        cached=TIERS,
        colours=plots.ARM_COLOURS,
        figures=_figures(report, outcomes, workload),
        stragglers=_stragglers(report),
        said=said[:_MOST_LINES],
        unsaid=max(0, len(said) - _MOST_LINES),
        hints=steered.get("hint_quality", {}),
        prefetches=steered.get("prefetches", {}),
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"  # noqa: RUF001 - a dash
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}%"


def _figures(report: dict[str, Any], outcomes: Outcomes, workload: Workload) -> dict[str, Markup]:
    details = report["details"]

    def steps(value: Callable[[dict[str, Any]], float]) -> dict[str, list[float]]:
        return {arm: [value(s) for s in d["steps"]] for arm, d in details.items()}

    def on_device(step: dict[str, Any]) -> float:
        private = workload.size.private * step["calls"]
        return float(min(100.0, 100 * step["tokens"]["device"] / private))

    found = {arm: figures["prefix_tokens"] for arm, figures in report["arms"].items()}
    ttft: dict[str, Any] = {
        arm: outcome.run.calls.rows["ttft_s"] for arm, outcome in outcomes.items()
    }
    drawings = {
        "tiers": plots.tiers(found),
        "ttft": plots.first_token_times(ttft),
        "seconds": plots.by_step(steps(lambda s: s["seconds"]), "seconds busy"),
        "device": plots.by_step(steps(on_device), "% of prefix found on the device"),
        "orders": plots.against_orders({arm: d["on_device"] for arm, d in details.items()}),
    }
    steered = details.get("scalesim", {})
    if steered.get("prefetches"):
        drawings["prefetches"] = plots.prefetch_outcomes(steered["prefetches"])
    if steered.get("hint_quality"):
        drawings["reported"] = plots.reported_distances(steered["hint_quality"]["uses"])
    return {name: Markup(svg) for name, svg in drawings.items()}  # noqa: S704 - drawn by us


def _stragglers(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the slowest call of all steps, of each arm with calls."""
    return {
        arm: max(details["steps"], key=lambda step: float(step["slowest_s"]))
        for arm, details in report["details"].items()
        if details["steps"]
    }

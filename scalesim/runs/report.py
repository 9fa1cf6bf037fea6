"""What a run leaves: one document, and the lines that people read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scalesim.runs.stack_counts import StackCounts
from scalesim.runs.tally import Tally


def document(tally: Tally, counts: StackCounts, **about: Any) -> dict[str, Any]:
    """Return the report of a run.

    Args:
        tally: The run's own calls.
        counts: What the stack counted meanwhile, of all its requests.
        about: Facts of the run: `simulation`, `command`, `exit_code`, `seconds`, ...
    """
    return {
        **about,
        "steps": tally.step,
        "calls": tally.calls,
        "calls_named": tally.named,
        "agents": dict(sorted(tally.agents.items(), key=lambda agent: -agent[1])),
        "tokens": {"prompt": tally.prompt_tokens, "output": tally.output_tokens},
        "prompt_tokens_found": dict(tally.found),
        "calls_by_coldest_tier": dict(tally.hits),
        "answer_seconds": round(tally.seconds, 3),
        "hint_coverage": counts.coverage,
        "uses_by_distance": dict(counts.uses),
        "on_device": dict(counts.hits),
        "errors": None if counts.errors is None else dict(counts.errors),
    }


def lines(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a label and what there is to say of it."""
    calls, prompt = max(report["calls"], 1), max(report["tokens"]["prompt"], 1)
    yield "calls", f"{report['calls']} in {report['seconds']:.1f} s, {report['steps']} steps"
    yield "agents", f"{len(report['agents'])}, {report['calls_named'] / calls:.0%} of calls named"
    yield "tokens", f"{report['tokens']['prompt']:,} in, {report['tokens']['output']:,} out"
    found = report["prompt_tokens_found"].items()
    yield "prompts", ", ".join(f"{tokens / prompt:.0%} {tier}" for tier, tokens in found)
    if report["hint_coverage"] is not None:
        yield "hints", f"{report['hint_coverage']:.0%} of uses foreseen"
    if report["on_device"]:
        shares = ", ".join(f"{share:.0%} {order}" for order, share in report["on_device"].items())
        yield "on device", f"{shares} (of repeated requests)"
    if report["errors"] is None:
        yield "errors", "told to the stack's own key alone"
    else:
        counts = ", ".join(f"{count} {code}" for code, count in report["errors"].items())
        yield "errors", counts or "none"
    if advice := _advice(report):
        yield "advice", advice
    if report.get("interrupted"):
        yield "trace", f"not complete: {report['interrupted']}"


def _advice(report: dict[str, Any]) -> str:
    """Return what to do where nothing came, or nobody was told apart; else nothing."""
    if not report["calls"]:
        return (
            "nothing was asked as this run: give clients no address of their own, or that in "
            "OPENAI_BASE_URL, and where the program names its Simulation, give --simulation"
        )
    if not report["calls_named"]:
        return (
            "nothing named who asks: `with scalesim.agent(name):` around its calls does, or the "
            "header X-Agent-Id; a Python started with -I, -E or -S is not watched"
        )
    return ""

"""Arms of cases side by side: a table and a JSON document, labelled as what they are."""

from __future__ import annotations

from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from scalesim.simulations.emulated.emulated_case import EmulatedCase

LIMITS = (
    "emulated: SGLang's scheduler, caches and our plugin and controller ran; passes and copies "
    "took what a roofline says of the GPU, not what was measured on one. Not in it: kernel "
    "launches, sampling, HTTP and Python beside the GPU's work, memory bandwidth that copies take."
)


def document(
    played: list[tuple[EmulatedCase, str, dict[str, Any]]], gpu: str, predicted: dict[str, float]
) -> dict[str, Any]:
    """Return everything of a comparison, ready for JSON; `timeline` is of each run's last step."""
    rows = [
        {"case": case._asdict(), "arm": arm, "device": f"emulated-{gpu}"} | found
        for case, arm, found in played
    ]
    return {"emulated": gpu, "limits": LIMITS, "rows": rows, "predicted_step_s": predicted}


def print_row(case: EmulatedCase, arm: str, found: dict[str, Any]) -> None:
    """Print how one arm went, as soon as it is known."""
    outcome = found.get("fault") or f"{found['busy_s']:.3f} s"
    Console(stderr=True).print(f"{case.title}: {arm} {outcome} ({found['wall_s']} s here)")


def print_table(
    played: list[tuple[EmulatedCase, str, dict[str, Any]]], gpu: str, predicted: dict[str, float]
) -> None:
    """Print a row an arm; ratios are against `hicache` of the same case."""
    table = Table(
        "case", "arm", "busy s", "hicache", "step p50", "plan", "TTFT p50", "p95", "device", "host",
        box=SIMPLE_HEAD, pad_edge=False, title=f"emulated {gpu}",
    )  # fmt: skip
    peers = {case: found for case, arm, found in played if arm == "hicache"}
    for case, arm, found in played:
        if "fault" in found:
            table.add_row(case.title, arm, found["fault"])
            continue
        peer, tokens = peers.get(case, {}).get("busy_s"), found["found"]
        step_s, plan_s = median(found["steps"]), predicted.get(f"{case.title}, {arm}")
        table.add_row(
            case.title,
            arm,
            f"{found['busy_s']:.3f}",
            f"{peer / found['busy_s']:.2f}x" if peer else "",
            f"{1000 * step_s:.0f} ms",
            f"{plan_s / step_s - 1:+.0%}" if plan_s else "",
            *(f"{1000 * found['ttft_s'][q]:.0f} ms" for q in ("p50", "p95")),
            *(f"{tokens[tier] / tokens['total']:.0%}" for tier in ("device", "host")),
        )
    console = Console()
    console.print(table)
    console.print(LIMITS, soft_wrap=True)

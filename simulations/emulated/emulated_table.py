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

PlayedArms = list[tuple[EmulatedCase, str, dict[str, Any]]]


def document(played: PlayedArms, gpu: str, predicted: dict[str, float]) -> dict[str, Any]:
    """Return everything of a comparison, ready for JSON; `timeline` is of each run's last step."""
    rows = [
        {"case": case._asdict(), "arm": arm, "device": f"emulated-{gpu}"} | found
        for case, arm, found in played
    ]
    return {"emulated": gpu, "limits": LIMITS, "rows": rows, "predicted_step_s": predicted}


def print_row(case: EmulatedCase, arm: str, found: dict[str, Any]) -> None:
    """Print how one arm went, as soon as it is known."""
    outcome = found.get("fault") or f"{found['busy_s']:.3f} s"
    Console(stderr=True).print(
        f"{case.title}, seed {case.seed}: {arm} {outcome} ({found.get('wall_s')} s here)"
    )


def print_table(played: PlayedArms, gpu: str, predicted: dict[str, float]) -> None:
    """Print a row an arm; seconds of all seeds, ratios against `hicache` of the same seed."""
    table = Table(
        "case", "arm", "busy s", "hicache", "step p50", "plan", "TTFT p50", "p95", "device", "host",
        "tokens", box=SIMPLE_HEAD, pad_edge=False, title=f"emulated {gpu}",
    )  # fmt: skip
    by_seed = {(case, arm): found for case, arm, found in played}
    for case, arm in dict.fromkeys((case._replace(seed=0), arm) for case, arm, _ in played):
        runs = [
            (one, found)
            for (one, a), found in by_seed.items()
            if a == arm and one._replace(seed=0) == case
        ]
        if faults := [found["fault"] for _, found in runs if "fault" in found]:
            table.add_row(case.title, arm, faults[0])
            continue
        peers = [by_seed.get((one, "hicache"), {}) for one, _ in runs]
        tokens = [found["found"] for _, found in runs]
        step_s = median(step for _, found in runs for step in found["steps"])
        plan_s = predicted.get(f"{case.title}, {arm}")
        same = {
            found["answers"] == peer.get("answers")
            for (_, found), peer in zip(runs, peers, strict=True)
        }
        table.add_row(
            case.title,
            arm,
            f"{sum(found['busy_s'] for _, found in runs):.3f}",
            _ratio(
                [
                    peer.get("busy_s", 0.0) / found["busy_s"]
                    for (_, found), peer in zip(runs, peers, strict=True)
                ]
            ),
            f"{1000 * step_s:.0f} ms",
            f"{plan_s / step_s - 1:+.0%}" if plan_s else "",
            *(
                f"{1000 * median(found['ttft_s'][q] for _, found in runs):.0f} ms"
                for q in ("p50", "p95")
            ),
            *(
                f"{sum(each[tier] for each in tokens) / sum(each['total'] for each in tokens):.0%}"
                for tier in ("device", "host")
            ),
            "equal" if same == {True} else "other",
        )
    console = Console(width=170)
    console.print(table)
    console.print(LIMITS, soft_wrap=True)


def _ratio(ratios: list[float]) -> str:
    """Return the median of ratios, and their span where there are several."""
    if not all(ratios):
        return ""
    span = f" ({min(ratios):.2f}-{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.2f}x{span}"

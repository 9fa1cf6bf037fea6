"""The arms as one table on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from scalesim.vocabulary import TIERS


def print_table(result: dict[str, Any], out: Path | None) -> None:
    """Print the figures of each arm, the speedups, and where the report is.

    Eighty columns are enough: tiers in which nothing was found are left out, and what is in
    none was recomputed.
    """
    arms = result["arms"]
    used = [
        tier for tier in TIERS if any(figures["prefix_tokens"][tier] for figures in arms.values())
    ]
    table = Table(
        "arm", "busy s", "TTFT p50", "p99", *used, "errors", "text", box=SIMPLE_HEAD, pad_edge=False
    )
    for arm, figures in arms.items():
        ttft, found = figures["ttft_s"], figures["prefix_tokens"]
        table.add_row(
            arm,
            f"{figures['busy_s']:.2f}",
            *("-" if ttft[q] is None else f"{1000 * ttft[q]:.0f} ms" for q in ("p50", "p99")),
            *(f"{found[tier] / max(1, found['total']):.1%}" for tier in used),
            str(figures["errors"]),
            figures["tokens_sha256"][:6],
        )
    console = Console()
    if result["emulated"]:
        console.print(f"[bold]emulated[/] {result['emulated']}: seconds of that GPU, not measured")
    console.print(table)
    for arm, figures in arms.items():
        for kind, share in figures["found"].items():
            console.print(f"{arm}: {kind} on the device for [bold]{share:.1%}[/] of calls")
    for name, ratio in result["speedup"].items():
        console.print(f"speedup {name.replace('_', ' ')}, in busy time: [bold]{ratio:.2f}x[/]")
    if out is not None:
        console.print(f"report: {out / 'report.html'}", soft_wrap=True)

"""The arms as one table on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simulations.summary import TIERS

_COLUMNS = ("busy s", "TTFT p50 s", "p95", "p99", *TIERS, "recomputed", "calls", "errors", "tokens")


def print_table(result: dict[str, Any], out: Path | None) -> None:
    """Print the figures of each arm, the speedups, and where the report is."""
    table = Table("arm", *_COLUMNS)
    for arm, figures in result["arms"].items():
        ttft, found = figures["ttft_s"], figures["prefix_tokens"]
        shares = (f"{found[tier] / found['total']:.1%}" for tier in (*TIERS, "recomputed"))
        table.add_row(
            arm,
            f"{figures['busy_s']:.2f}",
            *("-" if value is None else f"{value:.3f}" for value in ttft.values()),
            *shares,
            str(figures["calls"]),
            str(figures["errors"]),
            figures["tokens_sha256"][:8],
        )
    console = Console()
    console.print(table)
    for name, ratio in result["speedup"].items():
        console.print(f"busy time {name.replace('_', ' ')}: [bold]{ratio:.2f}x[/]")
    if out is not None:
        console.print(f"report: {out / 'report.html'}", soft_wrap=True)

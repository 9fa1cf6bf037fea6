"""Gains as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_gains(lines: Mapping[str, Any]) -> None:
    """Print one row for each line and arm against a peer: medians, with the spread of speedup."""
    table = Table("line", "arm over peer", "speedup", "spread", "end to end", "TTFT p95 saved")
    for name, line in lines.items():
        for pair, gain in line["gains"].items():
            speedup = gain["speedup"]
            table.add_row(
                name,
                pair,
                f"{speedup['median']:.2f}",
                f"{speedup['min']:.2f}-{speedup['max']:.2f}",
                f"{gain['end_to_end']['median']:.2f}",
                f"{gain['ttft_saved']['p95']['median']:.0%}",
            )
    Console().print(table)

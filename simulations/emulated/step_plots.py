"""What waited for what in a run's last step: its time line, stream by stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from scalesim.simulations.emulated.emulated_case import EmulatedCase

_ROWS = ("prefill", "decode", "a load", "the load", "a backup")
_LABELS = ("prefill", "decode", "loads", "adapters", "backups")
_COLOURS = ("#4477aa", "#66ccee", "#ee6677", "#aa3377", "#bbbbbb")


def write_plots(
    out: Path, played: list[tuple[EmulatedCase, str, dict[str, Any]]], gpu: str
) -> None:
    """Write one SVG a case: the last step of each of its arms."""
    for number, case in enumerate(dict.fromkeys(case for case, _, _ in played)):
        lines = [
            (arm, found["timeline"])
            for of, arm, found in played
            if of == case and "timeline" in found
        ]
        if lines:
            _write(out / f"time-line-{number}.svg", f"{case.title} (emulated {gpu})", lines)


def _write(path: Path, title: str, lines: list[tuple[str, Any]]) -> None:
    figure = Figure(figsize=(9, 1.2 + 1.3 * len(lines)), layout="constrained")
    axes = figure.subplots(len(lines), sharex=True, squeeze=False)[:, 0]
    for axis, (arm, pieces) in zip(axes, lines, strict=True):
        for name, _, begin, end in pieces:
            row = next(n for n, kind in enumerate(_ROWS) if name.startswith(kind) or n == 4)
            axis.barh(row, 1e3 * (end - begin), left=1e3 * begin, color=_COLOURS[row], height=0.8)
        axis.set_yticks(range(len(_LABELS)), _LABELS, fontsize=7)
        axis.invert_yaxis()
        axis.set_title(arm, fontsize=9, loc="left")
    axes[-1].set_xlabel("emulated ms since the step began")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)

"""The report's figures, each an SVG fragment whose text takes the page's own font."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scalesim.vocabulary import TIERS

ARM_COLOURS = {"stock": "#98a1b0", "hicache": "#d98e32", "scalesim": "#0b7f83"}
TIER_COLOURS = {
    "device": "#0b7f83",
    "host": "#7cc0b6",
    "storage": "#b9a7dd",
    "recomputed": "#e3e6eb",
}
ORDER_COLOURS = {"lru": "#7a5fb5", "oracle": "#d9482b"}
OUTCOME_COLOURS = {"used": "#0b7f83", "late": "#d98e32", "wasted": "#c9506a"}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "scalesim",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#c9ced8",
    "axes.labelcolor": "#5b6474",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceff3",
    "xtick.color": "#5b6474",
    "ytick.color": "#5b6474",
    "lines.linewidth": 2.2,
    "legend.frameon": False,
}


def tiers(prefix_tokens: Mapping[str, Mapping[str, int]]) -> str:
    """Return bars of where each arm's prefix tokens were found."""
    with mpl.rc_context(_STYLE):
        figure, axes = _drawing(10.4, 0.5 * len(prefix_tokens) + 0.6)
        arms = list(prefix_tokens)[::-1]
        left = np.zeros(len(arms))
        for tier in (*TIERS, "recomputed"):
            share = np.array(
                [
                    100 * prefix_tokens[arm][tier] / max(1, prefix_tokens[arm]["total"])
                    for arm in arms
                ]
            )
            if not share.any():
                continue
            bars = axes.barh(arms, share, 0.62, left, color=TIER_COLOURS[tier], label=tier)
            ink = "white" if tier == "device" else "#27303f"
            labels = [f"{value:.0f}%" if value >= 4 else "" for value in share]
            axes.bar_label(bars, labels, label_type="center", color=ink, fontsize=9.5)
            left += share
        axes.set(xlim=(0, 100), xticks=[])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=11)
        axes.grid(visible=False)
        if left.any():
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handlelength=1)
        return _svg(figure)


def against_orders(shares: Mapping[str, Mapping[str, float]]) -> str:
    """Return a bar an arm, what it found on the device, with marks where other orders would be."""
    with mpl.rc_context(_STYLE):
        figure, axes = _drawing(5.4, 0.55 * len(shares) + 0.9)
        arms = list(shares)[::-1]
        values = [100 * shares[arm]["run"] for arm in arms]
        bars = axes.barh(arms, values, 0.5, color=[ARM_COLOURS[arm] for arm in arms], alpha=0.85)
        axes.bar_label(bars, [f" {value:.0f}%" for value in values], color="#27303f", fontsize=9.5)
        for order, colour in ORDER_COLOURS.items():
            marks = [100 * shares[arm][order] for arm in arms]
            axes.plot(marks, range(len(arms)), "|", ms=24, mew=2.6, color=colour, label=order)
        axes.set(xlim=(0, 108), xlabel="% of prefixes on the device before their call")
        axes.set_xticks(range(0, 101, 25))
        return _rows(figure, axes)


def prefetch_outcomes(prefetches: Mapping[str, Mapping[str, int]]) -> str:
    """Return a bar for each payload kind: what became of prefetched state, in MiB."""
    with mpl.rc_context(_STYLE):
        figure, axes = _drawing(5.4, 0.55 * len(prefetches) + 0.9)
        kinds = list(prefetches)[::-1]
        left = np.zeros(len(kinds))
        for outcome, colour in OUTCOME_COLOURS.items():
            size = np.array([prefetches[kind][f"{outcome}_bytes"] / 2**20 for kind in kinds])
            axes.barh(kinds, size, 0.5, left, color=colour, label=outcome)
            left += size
        axes.set(xlabel="MiB moved ahead of a call")
        axes.set_xlim(left=0)
        return _rows(figure, axes)


def reported_distances(uses: Mapping[str, int]) -> str:
    """Return how far calls were said to be as they came: all at 0 if hints were perfect."""
    with mpl.rc_context(_STYLE):
        figure, axes = _drawing(5.4, 2.6)
        total = max(sum(uses.values()), 1)
        shares = [100 * count / total for count in uses.values()]
        colours = ["#0b7f83", *["#7cc0b6"] * (len(uses) - 2), "#c9ced8"]
        bars = axes.bar(list(uses), shares, 0.7, color=colours)
        labels = [f"{share:.0f}%" if share >= 1 else "" for share in shares]
        axes.bar_label(bars, labels, color="#27303f", fontsize=9)
        axes.set(xlabel="steps ahead, as reported", ylabel="% of calls", ylim=(0, 108))
        axes.grid(visible=False, axis="x")
        return _svg(figure)


def first_token_times(ttft_s: Mapping[str, Any]) -> str:
    """Return the share of calls whose first token came within a time, by arm."""
    with mpl.rc_context(_STYLE):
        figure, axes = _drawing(5.4, 3.1)
        for arm, values in ttft_s.items():
            times = np.sort(values[~np.isnan(values)])
            shares = 100 * np.arange(1, len(times) + 1) / max(len(times), 1)
            axes.step(times, shares, where="post", color=ARM_COLOURS[arm], label=arm)
        axes.set(xlabel="seconds to first token", ylabel="% of calls", ylim=(0, 101))
        axes.set_xlim(left=0)
        axes.legend(loc="lower right")
        return _svg(figure)


def by_step(series: Mapping[str, Any], label: str) -> str:
    """Return one line an arm over the steps."""
    with mpl.rc_context(_STYLE):
        figure, axes = _drawing(5.4, 3.1)
        for arm, values in series.items():
            steps = np.arange(1, len(values) + 1)
            marker = "o" if len(steps) <= 30 else None
            axes.plot(steps, values, color=ARM_COLOURS[arm], marker=marker, ms=4, label=arm)
        axes.set(xlabel="step", ylabel=label)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")
        return _svg(figure)


def _drawing(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _rows(figure: Figure, axes: Axes) -> str:
    """Finish a figure whose rows are named, with its legend above them."""
    axes.tick_params(axis="y", length=0, labelsize=11)
    axes.grid(visible=False, axis="y")
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(**above, ncols=4, handlelength=1, markerscale=0.5)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]

"""Miss-ratio curves as one self-contained SVG."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalesim.policies.replay.curves import Curves

WIDTH, HEIGHT, MARGIN = 720, 420, 56
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#333333")


def curves_svg(curves: Curves) -> str:
    """Return miss ratio (linear) over the share of agents that fit (logarithmic)."""
    low, high = math.log(curves.shares[0]), math.log(curves.shares[-1])

    def x(share: float) -> float:
        return MARGIN + (math.log(share) - low) / (high - low) * (WIDTH - 3.5 * MARGIN)

    def y(miss: float) -> float:
        return HEIGHT - MARGIN - miss * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            f'<path d="M{MARGIN} {y(tick):.1f}H{x(curves.shares[-1]):.1f}" stroke="#ddd"/>'
            f'<text x="{MARGIN - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.0%}</text>'
        )
    for share in curves.shares:
        parts.append(
            f'<text x="{x(share):.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">'
            f"{share:.1%}</text>"
        )
    for number, (name, misses) in enumerate(curves.miss_ratio.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{x(share):.1f},{y(miss):.1f}"
            for share, miss in zip(curves.shares, misses, strict=True)
        )
        legend = MARGIN + 18 * number
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{WIDTH - 2.2 * MARGIN:.0f}" y="{legend}" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
        "share of the agents that fit</text>"
        f'<text x="{MARGIN}" y="{MARGIN - 20}">miss ratio</text></svg>'
    )
    return "\n".join(parts)

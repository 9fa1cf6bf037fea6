"""Agents that act when they meet: when do two movers come within reach of each other?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances

Vectors = NDArray[np.float64]

PAIRS_AT_ONCE = 1_000_000
"""Pairs looked at together: a crowd costs time, not memory."""


class Encounters:
    """Steps until each agent comes within the interaction radius of any other.

    Both agents move in straight lines: |r + v t| = R is solved for the first t >= 0, with r and v
    the relative position and velocity. This is the time of two trajectories, not the arrival of
    one agent where the other is now. Source: the quadratic of velocity obstacles, Fiorini and
    Shiller, Motion planning in dynamic environments using velocity obstacles, 1998.

    Only pairs that can meet within `horizon_steps` are looked at (a grid of cells as wide as the
    reach), so that sparse worlds cost O(n).

    Args:
        agents: How many.
        radius: Interaction radius, in the unit of positions.
        horizon_steps: Meetings later than this are unforeseen.
        cooldown_steps: After an encounter two agents do not meet again for this long.
    """

    def __init__(
        self, agents: int, radius: float, horizon_steps: float = 16.0, cooldown_steps: float = 0.0
    ) -> None:
        self._position = np.full((agents, 2), np.nan)
        self._velocity = np.zeros((agents, 2))
        self._ready_at = np.full(agents, -np.inf)
        self._seen_at = 0.0
        self._radius = radius
        self._horizon_steps = horizon_steps
        self._cooldown_steps = cooldown_steps

    def move(self, agents: Rows, position: Vectors, velocity: Vectors, now: float) -> None:
        """Set where agents are (float[m, 2]) and how they move (float[m, 2] per step).

        All positions are taken to be of the latest `now`; others are carried on to it.
        """
        self._position += self._velocity * (now - self._seen_at)
        self._seen_at = now
        self._position[agents] = position
        self._velocity[agents] = velocity

    def met(self, agents: Rows, now: float) -> None:
        """Note that agents have just interacted: their cooldown begins."""
        self._ready_at[agents] = now + self._cooldown_steps

    def distances(self, now: float) -> Distances:
        """Return steps to each agent's next encounter, not before its cooldown ends."""
        nearest = np.full(len(self._position), np.inf)
        placed = np.flatnonzero(np.isfinite(self._position).all(axis=1))
        position = self._position[placed] + self._velocity[placed] * (now - self._seen_at)
        velocity = self._velocity[placed]
        fastest = float(np.linalg.norm(velocity, axis=1).max(initial=0.0))
        reach = self._radius + 2 * fastest * self._horizon_steps
        for first, second in _close_pairs(position, reach):
            time = meeting_times(
                position[second] - position[first], velocity[second] - velocity[first], self._radius
            )
            time[time > self._horizon_steps] = np.inf
            np.minimum.at(nearest, placed[first], time)
            np.minimum.at(nearest, placed[second], time)
        ahead: Distances = np.maximum(nearest, self._ready_at - now).astype(np.float32)
        return ahead


def meeting_times(offset: Vectors, velocity: Vectors, radius: float) -> NDArray[np.float64]:
    """Return the first t >= 0 with |offset + velocity t| <= radius; inf where there is none."""
    a = (velocity**2).sum(axis=1)
    b = (offset * velocity).sum(axis=1)
    c = (offset**2).sum(axis=1) - radius**2
    with np.errstate(divide="ignore", invalid="ignore"):
        root = (-b - np.sqrt(b * b - a * c)) / a
    meets = (a > 0) & (b < 0) & (b * b >= a * c)
    return np.where(c <= 0, 0.0, np.where(meets, root, np.inf))


def _close_pairs(position: Vectors, reach: float) -> Iterator[tuple[Rows, Rows]]:
    """Yield each pair of rows in the same or neighbouring cells of width `reach` once, in parts."""
    if len(position) < 2:
        return
    cells = np.floor((position - position.min(axis=0)) / max(reach, 1e-12)).astype(np.int64)
    width = int(cells[:, 1].max()) + 3
    code = cells[:, 0] * width + cells[:, 1] + 1
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    everyone = np.arange(len(order))
    for step in (0, 1, width - 1, width, width + 1):  # half of the neighbours: each pair once
        start = np.searchsorted(ordered, ordered + step, "left") if step else everyone + 1
        stop = np.searchsorted(ordered, ordered + step, "right")
        count = np.maximum(stop - start, 0)
        for rows in np.array_split(everyone, 1 + int(count.sum()) // PAIRS_AT_ONCE):
            first = np.repeat(rows, count[rows])
            within = np.arange(len(first)) - np.repeat(
                np.cumsum(count[rows]) - count[rows], count[rows]
            )
            yield order[first], order[np.repeat(start[rows], count[rows]) + within]

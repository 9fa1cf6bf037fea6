"""Agents that keep to a plan: the next wake, a drawn schedule, or an hourly rhythm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances


class Wake:
    """Next wake of each agent: an event queue, or the end of the action it is busy with.

    The distance is `wake - now`, Generative Agents' `act_start_time + act_duration`. A wake that
    has passed without being set again counts as due for `grace_steps`, then as unforeseen.

    Args:
        agents: How many.
        grace_steps: How long an overdue agent is waited for.
    """

    def __init__(self, agents: int, grace_steps: float = 1.0) -> None:
        self._at = np.full(agents, np.inf)
        self._grace_steps = grace_steps

    def wake(self, agents: Rows, at: NDArray[np.float64]) -> None:
        """Set when agents act next, in steps; inf or NaN takes a wake back."""
        self._at[agents] = at

    def distances(self, now: float) -> Distances:
        """Return steps to each wake."""
        ahead = self._at - now
        foreseen = ahead >= -self._grace_steps
        return np.where(foreseen, np.maximum(ahead, 0.0), np.inf).astype(np.float32)


class Drawn:
    """Activations drawn ahead of time: OASIS's draw does not depend on the model's answers.

    Args:
        active: bool[steps, n], who acts in each step from `first_step` on.
        first_step: Step of the first row.
    """

    def __init__(self, active: NDArray[np.bool_], first_step: int = 0) -> None:
        steps, agents = active.shape
        self._first_step = first_step
        self._next = np.full((steps + 1, agents), np.inf, np.float32)
        for step in range(steps - 1, -1, -1):
            self._next[step] = np.where(active[step], step, self._next[step + 1])

    def distances(self, now: float) -> Distances:
        """Return steps to each agent's next drawn activation, the current step included."""
        step = min(max(int(now) - self._first_step, 0), len(self._next) - 1)
        ahead: Distances = np.maximum(self._next[step] - np.float32(now - self._first_step), 0)
        return ahead


class HourlyRate:
    """Agents that act at random with a daily rhythm: an inhomogeneous Poisson process.

    The distance is the time in which one activation is expected: where the integral of the rate
    from now reaches 1 (1/rate for a constant rate). inf for agents that never act.

    Args:
        per_hour: float[n, 24], expected activations in each hour of the day.
        steps_per_hour: Unit conversion.
    """

    def __init__(self, per_hour: NDArray[np.float64], steps_per_hour: float = 1.0) -> None:
        self._per_hour = np.maximum(per_hour, 0.0)
        self._by_hour = np.cumsum(np.pad(self._per_hour, ((0, 0), (1, 0))), axis=1)
        self._steps_per_hour = steps_per_hour

    def distances(self, now: float) -> Distances:
        """Return steps in which one activation is expected."""
        time = now / self._steps_per_hour % 24.0
        hour = int(time)
        daily = self._by_hour[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = self._by_hour[:, hour] + (time - hour) * self._per_hour[:, hour] + 1.0
            days = np.floor(wanted / daily)
            rest = wanted - days * daily
            slot = np.minimum((self._by_hour[:, 1:] <= rest[:, None]).sum(axis=1), 23)
            rows = np.arange(len(slot))
            within = (rest - self._by_hour[rows, slot]) / self._per_hour[rows, slot]
            hours = np.where(daily > 0, days * 24 + slot + within - time, np.inf)
        steps: Distances = np.maximum(hours * self._steps_per_hour, 0.0).astype(np.float32)
        return steps

"""Agents with plans of their own: an event queue, and an hourly rhythm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.distance.estimator_base import Nearest
from scalesim.policies.distance.scheduled import Drawn, HourlyRate, Wake
from scalesim.policies.workloads.generated_workload import GeneratedWorkload, workload


def event_queue(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return actions of lognormal duration; each agent acts when its own has ended."""
    usual = rng.lognormal(np.log(8.0), 0.5, agents)
    wake_at = rng.uniform(0, usual)
    estimator = Wake(agents)
    estimator.wake(np.arange(agents), wake_at)
    active, foreseen = [], []
    for step in range(steps):
        foreseen.append(estimator.distances(step))
        due = np.flatnonzero(wake_at < step + 1)
        due = due[np.argsort(wake_at[due], kind="stable")]
        wake_at[due] = step + 1 + rng.lognormal(np.log(usual[due]), 0.3)
        estimator.wake(due, wake_at[due])
        active.append(due)
    return workload(agents, active, foreseen)


def activity(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return drawn daily rhythms with a peak each, one step an hour."""
    peak = rng.uniform(0, 24, agents)[:, None]
    hours = (np.arange(24) - peak) % 24
    profile = np.exp(-0.5 * (np.minimum(hours, 24 - hours) / 3.0) ** 2)
    return hourly(rng, profile * rng.gamma(1.0, 0.4, agents)[:, None], steps)


def hourly(
    rng: np.random.Generator, per_hour: NDArray[np.float64], steps: int
) -> GeneratedWorkload:
    """Return agents that act at hourly rates, drawn two steps ahead as OASIS draws who acts.

    Args:
        rng: Generator of the draws.
        per_hour: float64[agents, 24], expected activations in each hour of the day.
        steps: Hours to play.
    """
    agents = len(per_hour)
    chance = 1.0 - np.exp(-per_hour[:, np.arange(steps) % 24].T)
    acts = rng.random((steps, agents)) < chance
    rate = HourlyRate(per_hour)
    active, foreseen = [], []
    for step in range(steps):
        drawn = Drawn(acts[step : step + 2], first_step=step)
        foreseen.append(Nearest(drawn, rate).distances(step))
        active.append(rng.permutation(np.flatnonzero(acts[step])))
    return workload(agents, active, foreseen)

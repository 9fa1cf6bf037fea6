"""Agents that walk between random places and talk when they meet."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.estimator_base import Nearest
from scalesim.policies.distance.scheduled import Wake
from scalesim.policies.distance.spatial import Encounters
from scalesim.policies.workloads.generated_workload import GeneratedWorkload, workload

SPEED, RADIUS, COOLDOWN_STEPS = 1.0, 1.0, 4.0


def spatial(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return random waypoints: an agent asks when it meets another, and when it arrives."""
    width = 4.0 * np.sqrt(agents)
    position = rng.uniform(0, width, (agents, 2))
    goal = rng.uniform(0, width, (agents, 2))
    met_at = np.full(agents, -np.inf)
    encounters = Encounters(agents, RADIUS, horizon_steps=6.0, cooldown_steps=COOLDOWN_STEPS)
    arrival = Wake(agents)
    everyone = np.arange(agents)
    active, foreseen = [], []
    for step in range(steps):
        way = goal - position
        length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
        velocity = way / length[:, None] * SPEED
        encounters.move(everyone, position, velocity, step)
        arrival.wake(everyone, step + length / SPEED)
        foreseen.append(Nearest(encounters, arrival).distances(step))

        arrived = length <= SPEED
        position = np.where(arrived[:, None], goal, position + velocity)
        goal[arrived] = rng.uniform(0, width, (int(arrived.sum()), 2))
        gap = np.linalg.norm(position[:, None] - position[None], axis=2)
        np.fill_diagonal(gap, np.inf)
        meets = (gap.min(axis=1) <= RADIUS) & (step - met_at >= COOLDOWN_STEPS)
        met_at[meets] = step
        encounters.met(np.flatnonzero(meets), step)
        active.append(np.flatnonzero(meets | arrived))
    return workload(agents, active, foreseen)

"""Agents called by other agents: teams running workflows, and activity spreading over a network."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.graph import Diffusion, Workflow
from scalesim.policies.workloads.generated_workload import GeneratedWorkload, workload

TEAM = 12
"""Agents in one workflow: four layers of three."""


def workflow(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return teams in layered workflows with joins, begun again and again at random times."""
    teams = max(agents // TEAM, 1)
    layer = np.arange(agents) % TEAM // 3
    team = np.minimum(np.arange(agents) // TEAM, teams - 1)
    pairs = np.argwhere((team[:, None] == team) & (layer[:, None] + 1 == layer))
    edges = pairs[rng.random(len(pairs)) < 0.7]
    stage = rng.integers(-4, 4, teams)  # negative: idle for that many steps
    active, foreseen = [], []
    for _ in range(steps):
        turn = layer == stage[team]
        begun = stage[team] >= 0
        estimator = Workflow(agents, edges)
        estimator.update(np.flatnonzero(turn), np.flatnonzero(begun & (layer < stage[team])))
        ahead = estimator.distances(0)
        ahead += np.where(begun, 0.0, -stage[team]).astype(np.float32)
        foreseen.append(ahead)
        active.append(np.flatnonzero(turn))
        stage += 1
        over = stage > 3
        stage[over] = -rng.integers(1, 8, int(over.sum()))
    return workload(agents, active, foreseen)


def diffusion(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return cascades over a network of followers; a new one begins when the last has ended."""
    chance = 0.35
    follows = [
        (leader, follower)
        for follower in range(1, agents)
        for leader in set((follower * rng.beta(1.0, 2.0, 3)).astype(int).tolist())
    ]
    edges = np.array(follows + [(b, a) for a, b in follows], dtype=np.int64)
    estimator = Diffusion(agents, edges, chance)
    running = np.zeros(0, np.int64)
    spent = np.zeros(agents, np.bool_)
    active, foreseen = [], []
    for _ in range(steps):
        if len(running) == 0:
            running = rng.choice(agents, 3, replace=False)
            spent[:] = False
            estimator = Diffusion(agents, edges, chance)
        estimator.update(running, np.flatnonzero(spent))
        foreseen.append(estimator.distances(0))
        active.append(running)
        spent[running] = True
        reached = edges[np.isin(edges[:, 0], running) & (rng.random(len(edges)) < chance), 1]
        running = np.unique(reached[~spent[reached]])
    return workload(agents, active, foreseen)

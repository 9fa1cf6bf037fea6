"""Everyone acts once a step: in the same order, or in a new one every step."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.turn_order import Order, ShuffledStep
from scalesim.policies.workloads.generated_workload import GeneratedWorkload, workload


def round_robin(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return the same drawn order in every step, the worst case of recency."""
    turn = rng.permutation(agents)
    order = Order(agents, repeats=True)
    order.begin(turn)
    return workload(agents, [turn] * steps, [order.distances(0)] * steps)


def shuffled(rng: np.random.Generator, agents: int, steps: int) -> GeneratedWorkload:
    """Return a new order in every step, as Mesa's `shuffle_do` draws it."""
    turns = [rng.permutation(agents) for _ in range(steps)]
    waiting = ShuffledStep(agents).distances(0)
    return workload(agents, turns, [waiting] * steps)

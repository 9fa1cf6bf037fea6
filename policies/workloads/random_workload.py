"""Independent random requests: nothing to foresee, only popularity."""

from __future__ import annotations

import numpy as np

from scalesim.policies.workloads.generated_workload import GeneratedWorkload, workload


def zipf(
    rng: np.random.Generator, agents: int, steps: int, exponent: float = 1.0
) -> GeneratedWorkload:
    """Return as many requests a step as a tenth of the agents, popularity falling as 1/rank."""
    weight = 1.0 / np.arange(1, agents + 1) ** exponent
    rank = rng.permutation(agents)
    drawn = rng.choice(agents, (steps, max(agents // 10, 1)), p=weight / weight.sum())
    unforeseen = np.full(agents, np.inf, np.float32)
    return workload(agents, list(rank[drawn]), [unforeseen] * steps)

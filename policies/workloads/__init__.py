"""Seeded activation traces of every class of simulation, with what their estimators foresee."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.policies.workloads.every_step_workload import round_robin, shuffled
from scalesim.policies.workloads.generated_workload import GeneratedWorkload
from scalesim.policies.workloads.graph_workload import diffusion, workflow
from scalesim.policies.workloads.random_workload import zipf
from scalesim.policies.workloads.scheduled_workload import activity, event_queue
from scalesim.policies.workloads.spatial_workload import spatial

WORKLOADS: dict[str, Callable[[np.random.Generator, int, int], GeneratedWorkload]] = {
    "event-queue": event_queue,
    "activity": activity,
    "spatial": spatial,
    "workflow": workflow,
    "diffusion": diffusion,
    "round-robin": round_robin,
    "shuffled": shuffled,
    "zipf": zipf,
}

__all__ = ["WORKLOADS", "GeneratedWorkload", "generate"]


def generate(name: str, agents: int, steps: int, seed: int) -> GeneratedWorkload:
    """Return a seeded workload.

    Raises:
        InvalidRequestError: No such workload, fewer than 4 agents, or no step.
    """
    if name not in WORKLOADS:
        raise InvalidRequestError(
            f"there is no workload {name!r}: choose one of {', '.join(WORKLOADS)}", "workload"
        )
    if agents < 4 or steps < 1:
        raise InvalidRequestError(
            f"a workload of {agents} agents and {steps} steps cannot be made: give at least 4 "
            "agents and 1 step",
            "agents" if agents < 4 else "steps",
        )
    return WORKLOADS[name](np.random.default_rng(seed), agents, steps)

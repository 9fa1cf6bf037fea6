"""What `scalesim plan` says of a case: its roofline and its replay, on the same memory."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from scalesim.deployments.engine.emulation.gpu_times import ADAPTER_COPIES_A_LAYER, COPY_S
from scalesim.policies.capacity.hardware import GPUS, LLMS, Calibration
from scalesim.policies.capacity.roofline import RooflineEngine
from scalesim.policies.replay.activation_trace import make_trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.more_state import Adapters, HostTier
from scalesim.policies.replay.replay_policies import POLICIES
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import EmulatedCase

POLICY_OF = {"hicache": "lru", "scalesim": "distance"}
"""What the plan calls the order of an arm."""


def predicted_step_s(case: EmulatedCase, arm: str, emulation: EmulationSettings) -> float:
    """Return the median seconds of a step as the plan has them."""
    workload = case.made()
    steps = [workload.schedule.calls(step) for step in range(case.steps + 1)]
    step = np.repeat(np.arange(len(steps)), [len(rows) for rows in steps])
    trace = make_trace(step, np.concatenate(steps), case.agents)
    llm = LLMS[emulation.model]
    state_bytes = case.size.total * llm.kv_bytes_per_token
    trace = trace._replace(size_bytes=np.full(case.agents, state_bytes))
    of_case = {
        "fresh_tokens": case.size.observation,
        "output_tokens": case.output,
        "slots": case.concurrency,
    }
    calibration = Calibration(**{**asdict(Calibration()), **emulation.calibration, **of_case})
    engine = RooflineEngine(GPUS[emulation.gpu or ""], llm, calibration)
    costs = engine.costs(state_bytes, 1.0, float(np.mean([len(rows) for rows in steps[1:]])))
    capacity = case.device_tokens * llm.kv_bytes_per_token
    played = Case(
        trace,
        capacity,
        costs=costs,
        at_once=case.concurrency,
        pause_s=case.think_s,
        host=_host(case, state_bytes, calibration),
        adapters=_adapters(case, costs.link_bytes_per_s, emulation),
    )
    policy = POLICY_OF[arm]
    if policy == "distance" and not workload.schedule.ordered:
        policy = "kvflow"  # the order within a step is not reported
    served = POLICIES[policy](played)
    seconds = np.bincount(step, played.service_s + served.stall_s)
    return float(np.median(seconds[1:]))


def _host(case: EmulatedCase, state_bytes: int, calibration: Calibration) -> HostTier | None:
    """Return the host tier of a case with storage; what does not fit is computed again."""
    if not case.stored:
        return None
    read_s = np.full(case.agents, state_bytes / calibration.storage_bytes_per_s)
    return HostTier(int(case.host_share * case.agents * state_bytes), read_s)


def _adapters(
    case: EmulatedCase, link_bytes_per_s: float, emulation: EmulationSettings
) -> Adapters | None:
    if not case.adapters:
        return None
    copies = ADAPTER_COPIES_A_LAYER * LLMS[emulation.model].layers
    return Adapters(
        np.arange(case.agents, dtype=np.int32) % case.adapters,
        case.slots,
        emulation.adapter_bytes / link_bytes_per_s,
        copies * COPY_S,
    )

"""How many GPUs, how much host memory and disk: the replay, scaled to a fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.roofline import RooflineEngine
from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.more_state import Adapters, HostTier
from scalesim.policies.replay.replay_policies import POLICIES, check_policies

MOST_GPUS = 4096

HOST_PARTS = 16
"""Host memory is sized to one part in so many of what there is."""

NOTE = (
    "A model, not a measurement: a roofline of the GPU and a replay of the trace in which the "
    "requests of a step run together. Calibrate it with measured rates before buying anything."
)


@dataclass(frozen=True, slots=True)
class FleetQuestion:
    """What to size.

    Attributes:
        agents: Agents of the simulation; the trace is taken as a sample of it.
        step_s: Wanted seconds per step (95th percentile), None to ask what `gpus` give.
        gpus: Fleet to describe where no step time is wanted.
        host_bytes_per_gpu: Host memory there is for agents' state.
        pause_s: Seconds between steps in which no agent asks.
        adapters: LoRA adapters, dealt to the agents in turn.
        adapter_slots: Slots of one GPU, out of its memory for state.
        adapter_bytes: Bytes of one; by default rank 64 on all linear layers of an 8B model in bf16.
    """

    agents: int
    step_s: float | None = None
    gpus: int = 1
    host_bytes_per_gpu: float = 256e9
    pause_s: float = 0.0
    adapters: int = 0
    adapter_slots: int = 8
    adapter_bytes: float = 336e6


def capacity_plan(
    trace: Trace,
    engine: RooflineEngine,
    question: FleetQuestion,
    names: Sequence[str],
    hints: str = "reported",
) -> dict[str, Any]:
    """Return, for each policy, the fleet it needs and what that fleet does.

    Returns:
        `{"note", "agents", "state_bytes", "policies": {NAME: {"gpus", "step_s": {"p50","p95"},
        "stall_share", "hit_ratio", "host_bytes", "storage_bytes"}}, "calibration"}`; bytes are
        totals of the fleet. For a step time these are the fewest GPUs and then the least host
        memory that keep it, and `gpus` is None where `MOST_GPUS` do not; without one, all host
        memory is used. What is not in host memory is on disk.

    Raises:
        InvalidRequestError: A policy is unknown, a number is not above 0 or `gpus` above
            `MOST_GPUS`.
    """
    above = ("agents", "gpus", "host_bytes_per_gpu", "step_s", "adapter_slots", "adapter_bytes")
    for field in above:
        value = getattr(question, field)
        if value is not None and not value > 0:
            raise InvalidRequestError(f"{field} is {value}: give a number above 0", field)
    if question.adapters and question.adapter_slots * question.adapter_bytes >= engine.kv_bytes:
        raise InvalidRequestError(
            f"{question.adapter_slots} slots of {question.adapter_bytes / 1e9:g} GB leave no "
            f"memory to state: {engine.kv_bytes / 1e9:.0f} GB are there; give fewer slots",
            "adapter_slots",
        )
    if question.gpus > MOST_GPUS:
        raise InvalidRequestError(f"gpus is {question.gpus}: give at most {MOST_GPUS}", "gpus")
    check_policies(names)
    return {
        "note": NOTE,
        "agents": question.agents,
        "state_bytes": int(_state_bytes(trace, engine) * question.agents),
        "policies": {name: _sized(trace, engine, question, name, hints) for name in names},
        "calibration": asdict(engine.calibration),
    }


def _sized(
    trace: Trace, engine: RooflineEngine, question: FleetQuestion, name: str, hints: str
) -> dict[str, Any]:
    """Return the smallest fleet that keeps the step time, or the one that was asked about."""
    total = _state_bytes(trace, engine) * question.agents

    def fleet(gpus: int, host_parts: int = HOST_PARTS) -> dict[str, Any]:
        host_bytes = min(total, question.host_bytes_per_gpu * gpus) * host_parts / HOST_PARTS
        return _fleet(trace, engine, question, name, hints, gpus, host_bytes)

    if question.step_s is None:
        return fleet(question.gpus)
    wanted_s = question.step_s

    def in_time(row: dict[str, Any]) -> bool:
        return bool(row["step_s"]["p95"] <= wanted_s)

    enough = 1
    while not in_time(fleet(enough)):
        if enough >= MOST_GPUS:
            return fleet(enough) | {"gpus": None}
        enough *= 2
    gpus = _smallest(enough // 2, enough, lambda count: in_time(fleet(count)))
    parts = _smallest(-1, HOST_PARTS, lambda count: in_time(fleet(gpus, count)))
    return fleet(gpus, parts)


def _smallest(too_few: int, enough: int, suffices: Callable[[int], bool]) -> int:
    """Return the smallest number between the two that suffices."""
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if suffices(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _fleet(
    trace: Trace,
    engine: RooflineEngine,
    question: FleetQuestion,
    name: str,
    hints: str,
    gpus: int,
    host_bytes: float,
) -> dict[str, Any]:
    """Return what `gpus` do: one copy of the trace gets its part of the fleet."""
    part = gpus * len(trace.names) / question.agents
    state_bytes = _state_bytes(trace, engine)
    total = state_bytes * question.agents
    _, step = np.unique(trace.step, return_inverse=True)
    costs = engine.costs(state_bytes, part, len(step) / (step.max() + 1))
    sizes = costs.state_bytes(trace)
    read_s = sizes / (engine.calibration.storage_bytes_per_s * part)
    host = HostTier(int(host_bytes * len(trace.names) / question.agents), read_s)
    adapters = _adapters(question, len(trace.names), part, costs.link_bytes_per_s)
    for_slots = question.adapter_slots * question.adapter_bytes if adapters else 0.0
    room = max(int((engine.kv_bytes - for_slots) * part), int(sizes.max()))
    case = Case(
        trace,
        room,
        hints,
        costs=costs,
        at_once=max(round(engine.slots(state_bytes) * part), 1),
        pause_s=question.pause_s,
        host=host if host_bytes < total else None,
        adapters=adapters,
    )
    served = POLICIES[name](case)
    step_s = np.bincount(step, case.service_s + served.stall_s)
    p50, p95 = (float(value) for value in np.percentile(step_s, [50, 95]))
    return {
        "gpus": gpus,
        "step_s": {"p50": p50, "p95": p95},
        "stall_share": float(served.stall_s.sum() / step_s.sum()),
        "hit_ratio": float(served.hits.mean()),
        "host_bytes": int(host_bytes),
        "storage_bytes": int(total - host_bytes),
    }


def _adapters(
    question: FleetQuestion, agents: int, part: float, link_bytes_per_s: float
) -> Adapters | None:
    """Return the adapters of one copy of the trace, and its part of all slots."""
    if not question.adapters:
        return None
    count = max(round(question.adapters * agents / question.agents), 1)
    slots = max(int(question.adapter_slots * part), 1)
    of = np.arange(agents, dtype=np.int32) % count
    return Adapters(of, slots, question.adapter_bytes / link_bytes_per_s)


def _state_bytes(trace: Trace, engine: RooflineEngine) -> float:
    """Return the mean bytes of an agent's state."""
    return float(engine.costs(1.0, 1.0).state_bytes(trace).mean())

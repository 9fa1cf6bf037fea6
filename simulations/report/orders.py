"""What LRU and an oracle would have kept on the device, for the calls of an arm."""

from __future__ import annotations

import numpy as np

from scalesim.policies.replay.orders.belady import belady, next_uses
from scalesim.policies.replay.orders.lru import lru
from scalesim.simulations.arm_run import Run
from scalesim.simulations.arms import ArmMachine
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.summary import prefix_tokens
from scalesim.simulations.workload import Workload


def on_device(run: Run, workload: Workload, machine: ArmMachine) -> dict[str, float]:
    """Return shares of prefixes found on the device: in this run, by LRU, and by Belady's order.

    Both orders get the run's calls as they began, warm-up included but not counted, on one device
    as large as those of all replicas together. Neither fetches ahead of a call: a run that does
    may beat the oracle.
    """
    found = prefix_tokens(run.calls, workload.size.private)
    warmup, calls = _agents(run.warmup), _agents(run.calls)
    requests = np.concatenate([warmup, calls])
    agents = len(workload.agents)
    capacity = int(machine.device_share * agents)
    hits = {
        "lru": lru(requests, np.ones(agents, np.int64), capacity),
        "oracle": belady(requests, next_uses(requests, agents), agents, capacity),
    }
    counted = max(1, len(calls))  # of a World maybe none
    shares = {order: float(each[len(warmup) :].sum()) / counted for order, each in hits.items()}
    return {"run": found["device"] / max(1, found["total"]), **shares}


def _agents(calls: CallTable) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return the rows of the agents that called, in the order of their calls' begin."""
    order = np.argsort(calls.rows["start_s"], kind="stable")
    return np.ascontiguousarray(calls.rows["agent"][order], dtype=np.int32)

"""A replica in memory: builds views and carries plans out, for the tests of planners."""

from __future__ import annotations

import numpy as np

from scalesim.policies.links import Links
from scalesim.policies.planner import DistancePlanner
from scalesim.policies.planning import Plan, View
from scalesim.vocabulary import Tier, Verb


def view(
    distance,
    *,
    size=10,
    device=(),
    host=(),
    storage=(),
    in_use=(),
    pinned=(),
    simulation=0,
    coming=0,
    step_s=10.0,
    quota=1.0,
):
    """Build a view of equal sizes; `device`, `host`, ... list the rows resident there."""
    n = len(distance)
    total = np.broadcast_to(np.asarray(size, dtype=np.int64), n).copy()

    def rows(chosen):
        mask = np.zeros(n, dtype=np.bool_)
        mask[list(chosen)] = True
        return mask

    return View(
        distance=np.asarray(distance, dtype=np.float32),
        last_used=np.arange(n, dtype=np.float64),
        total_bytes=total,
        device_bytes=np.where(rows(device), total, 0),
        host_bytes=np.where(rows(host), total, 0),
        storage_bytes=np.where(rows(storage), total, 0),
        in_use=rows(in_use),
        pinned=rows(pinned),
        simulation=np.broadcast_to(np.asarray(simulation, dtype=np.int32), n).copy(),
        kind=np.zeros(n, dtype=np.int32),
        coming=np.broadcast_to(np.asarray(coming, dtype=np.uint8), n).copy(),
        step_s=np.broadcast_to(np.asarray(step_s, dtype=np.float64), 8).copy(),
        quota=np.resize(np.asarray(quota, dtype=np.float64), 8),
    )


LINKS = Links()


def planned(world, budgets, links=LINKS):
    """Return the plan of the planner the stack uses."""
    return DistancePlanner().plan(world, budgets, links)


def carry_out(view: View, plan: Plan, device_bytes: int) -> View:
    """Return the view after a replica did what it was asked; fetches without room wait there."""
    room = max(device_bytes, int(view.device_bytes.sum()))
    device, host, storage = (
        view.device_bytes.copy(),
        view.host_bytes.copy(),
        view.storage_bytes.copy(),
    )
    for row, verb, tier in zip(plan.rows, plan.verbs, plan.tiers, strict=True):
        if verb == Verb.PREFETCH:
            source = max(host[row], storage[row])
            if tier == Tier.DEVICE and device.sum() - device[row] + source > room:
                continue
            host[row] = max(host[row], source)
            if tier == Tier.DEVICE:
                device[row] = max(device[row], source)
        elif verb == Verb.DEMOTE:
            copy = max(device[row], host[row])
            target = host if tier == Tier.HOST else storage
            target[row] = max(target[row], copy)
            device[row] = 0
            if tier == Tier.STORAGE:
                host[row] = 0
    return view._replace(device_bytes=device, host_bytes=host, storage_bytes=storage)


def moves(plan: Plan) -> list[tuple[str, int, str]]:
    """Return a plan as readable triples."""
    return [
        (Verb(v).name.lower(), int(r), Tier(t).name.lower())
        for r, v, t in zip(plan.rows, plan.verbs, plan.tiers, strict=True)
    ]

"""Every policy by name, and the report of a replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.activation_trace import make_trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.orders.belady import belady, next_uses
from scalesim.policies.replay.orders.hinted import farthest_first
from scalesim.policies.replay.orders.lfu import gdsf, lfu
from scalesim.policies.replay.orders.lru import lru
from scalesim.policies.replay.orders.oracle import cost_aware
from scalesim.policies.replay.orders.s3fifo import s3fifo
from scalesim.policies.replay.timeline import TimelineRun


def _lru(case: Case) -> TimelineRun:
    return case.demand(lru(case.trace.agent, case.sizes, case.capacity))


def _lfu(case: Case) -> TimelineRun:
    return case.demand(lfu(case.trace.agent, case.sizes, case.capacity))


def _s3fifo(case: Case) -> TimelineRun:
    return case.demand(s3fifo(case.trace.agent, case.sizes, case.capacity))


def _gdsf(case: Case) -> TimelineRun:
    return case.demand(gdsf(case.trace.agent, case.sizes, case.load_s, case.capacity))


def _kvflow(case: Case) -> TimelineRun:
    """Whole steps to execution; unforeseen agents by recency (arXiv 2507.07400)."""
    starts = np.flatnonzero(np.diff(case.trace.step, prepend=-1)).astype(np.float64)
    reported = case.reported
    band = starts[np.maximum(np.searchsorted(starts, reported.due, side="right") - 1, 0)]
    return case.follow(reported._replace(due=np.where(np.isfinite(reported.due), band, np.inf)))


def _bands(case: Case) -> TimelineRun:
    """Distances rounded up to powers of two: what survives in a small integer priority."""
    reported = case.reported
    distance = np.maximum(reported.due - reported.at, 1.0)
    return case.follow(reported._replace(due=reported.at + 2.0 ** np.ceil(np.log2(distance))))


def _distance(case: Case) -> TimelineRun:
    return case.follow(case.hints)


def _belady(case: Case) -> TimelineRun:
    requests, agents = case.trace.agent, len(case.trace.names)
    if case.unit_sizes:
        return case.demand(belady(requests, next_uses(requests, agents), agents, case.capacity))
    return case.demand(farthest_first(requests, case.sizes, case.capacity, case.following))


def _oracle(case: Case) -> TimelineRun:
    if case.prefetch:
        return case.follow(case.following)
    requests, agents = case.trace.agent, len(case.trace.names)
    following = next_uses(requests, agents)
    return case.demand(cost_aware(requests, following, case.sizes, case.load_s, case.capacity))


POLICIES: dict[str, Callable[[Case], TimelineRun]] = {
    "lru": _lru,
    "lfu": _lfu,
    "s3fifo": _s3fifo,
    "gdsf": _gdsf,
    "kvflow": _kvflow,
    "bands": _bands,
    "distance": _distance,
    "belady": _belady,
    "oracle": _oracle,
}


def check_policies(names: Iterable[str]) -> list[str]:
    """Return the names if there is at least one and all are policies.

    Raises:
        InvalidRequestError: There is none, or one is not known.
    """
    chosen = list(names)
    unknown = [name for name in chosen if name not in POLICIES]
    if unknown or not chosen:
        raise InvalidRequestError(
            f"{', '.join(map(repr, unknown)) or 'nothing'} is not a policy: choose from "
            f"{', '.join(POLICIES)}",
            "policy",
        )
    return chosen


def replay(case: Case, names: Iterable[str]) -> dict[str, Any]:
    """Return the report of a trace under each named policy.

    Returns:
        `{"requests", "agents", "capacity", "policies": {NAME: {...}}}`; capacity in agents or
        bytes, times in seconds of the timeline, `requests_per_s` measured on this machine.

    Raises:
        InvalidRequestError: A policy is not known.
    """
    chosen = check_policies(names)
    first = make_trace(np.zeros(1, np.int64), np.zeros(1, np.int64), 1)
    compiling = Case(first, 1.0 if case.unit_sizes else 1 << 40, prefetch=case.prefetch)
    for name in chosen:
        POLICIES[name](compiling)
    return {
        "requests": len(case.trace.agent),
        "agents": len(case.trace.names),
        "capacity": case.capacity,
        "policies": {name: _row(case, POLICIES[name]) for name in chosen},
    }


def _row(case: Case, policy: Callable[[Case], TimelineRun]) -> dict[str, Any]:
    began = time.perf_counter()
    served = policy(case)
    elapsed_s = time.perf_counter() - began
    requested_bytes = case.state_bytes[case.trace.agent].astype(np.float64)
    return {
        "hits": int(served.hits.sum()),
        "hit_ratio": float(served.hits.mean()),
        "byte_hit_ratio": float(requested_bytes[served.hits].sum() / requested_bytes.sum()),
        "stall_s": float(served.stall_s.sum()),
        "prefetch": {
            "issued": int(served.issued),
            "used": int(served.used),
            "late": int(served.late),
            "wasted_bytes": int(served.wasted @ case.state_bytes.astype(np.float64)),
        },
        "requests_per_s": len(case.trace.agent) / elapsed_s,
    }

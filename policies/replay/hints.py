"""What was known about the future at each point of a trace, as one stream of corrections."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.compiled import compiled
from scalesim.policies.replay.orders.belady import NEVER, next_uses

BEHIND = 1e9
"""Requests added to a fallback's prediction: farther than anything a simulation foresees."""


class Hints(NamedTuple):
    """From request `at` on, `agent` is expected to ask next at request position `due`.

    Positions in the trace serve as the clock, so that an expectation stays as it is while time
    passes; the distance at request `i` is `due - i` requests.

    Attributes:
        at: int64[m], ascending; known before that request is served.
        agent: int32[m].
        due: float64[m], inf where nothing is foreseen.
    """

    at: NDArray[np.int64]
    agent: NDArray[np.int32]
    due: NDArray[np.float64]


def no_hints() -> Hints:
    """Return the stream that says nothing."""
    return Hints(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0))


def oracle_hints(trace: Trace) -> Hints:
    """Return the whole truth: every agent's next request, from the start."""
    following = next_uses(trace.agent, len(trace.names))
    due = np.where(following == NEVER, np.inf, following.astype(np.float64))
    first = np.unique(trace.agent, return_index=True)[1]
    begin = Hints(np.zeros(len(first), np.int64), trace.agent[first], first.astype(np.float64))
    return _merged(begin, Hints(np.arange(len(due)), trace.agent, due))


def reported_hints(trace: Trace, horizon_steps: int = 1) -> Hints:
    """Return what a simulation reports that knows the order of this and the next steps.

    Args:
        trace: What will happen.
        horizon_steps: How many steps after the current one are known.
    """
    following = next_uses(trace.agent, len(trace.names))
    steps, index = np.unique(trace.step, return_inverse=True)
    starts = np.searchsorted(trace.step, steps)
    known = np.clip(following, 0, len(following) - 1)
    near = (following != NEVER) & (index[known] <= index + horizon_steps)
    due = np.where(near, following.astype(np.float64), np.inf)
    # A request beyond the horizon of the one before is reported when its step comes into sight.
    previous = np.full(len(following), -1, np.int64)
    real = following != NEVER
    previous[following[real]] = np.flatnonzero(real)
    in_sight = starts[np.maximum(index - horizon_steps, 0)]
    late = np.flatnonzero((previous < 0) | (index > index[previous] + horizon_steps))
    late = late[np.argsort(in_sight[late], kind="stable")]
    ahead = Hints(in_sight[late], trace.agent[late], late.astype(np.float64))
    return _merged(ahead, Hints(np.arange(len(due)), trace.agent, due))


def noisy_hints(hints: Hints, sigma: float, rng: np.random.Generator) -> Hints:
    """Return hints whose distances are off by a lognormal factor of spread `sigma`."""
    distance = hints.due - hints.at
    return hints._replace(due=hints.at + distance * rng.lognormal(0.0, sigma, len(distance)))


def foreseen_hints(trace: Trace, foreseen: NDArray[np.float32]) -> Hints:
    """Return what estimators said at the beginning of each step.

    A distance in steps becomes a position by where that step begins in the trace, so agents of
    one step stay tied. An agent that has asked is unforeseen until the next step begins.

    Args:
        trace: The requests.
        foreseen: float32[steps, agents], distances at the beginning of each step from 0.
    """
    steps, agents = foreseen.shape
    starts = np.searchsorted(trace.step, np.arange(steps + 1)).astype(np.float64)
    per_step = max(len(trace.step) / steps, 1.0)
    at = np.arange(steps)[:, None] + np.maximum(foreseen, 0.0)
    begin = np.interp(np.minimum(at, steps), np.arange(steps + 1), starts)
    due = np.where(np.isfinite(at), begin + np.maximum(at - steps, 0.0) * per_step, np.inf)
    everyone = np.tile(np.arange(agents, dtype=np.int32), steps)
    said = Hints(np.repeat(starts[:-1].astype(np.int64), agents), everyone, due.ravel())
    requests = len(trace.agent)
    return _merged(said, Hints(np.arange(requests), trace.agent, np.full(requests, np.inf)))


def backed(first: Hints, second: Hints, agents: int) -> Hints:
    """Return `first` where it foresees something and `second`, behind all of that, elsewhere."""
    at = np.concatenate([second.at, first.at])
    order = np.argsort(at, kind="stable")
    agent = np.concatenate([second.agent, first.agent])[order]
    due = np.concatenate([second.due, first.due])[order]
    source = np.repeat([1, 0], [len(second.at), len(first.at)])[order]
    return Hints(at[order], agent, _overlaid(agent, due, source, agents))


@compiled
def _overlaid(
    agent: NDArray[np.int32], due: NDArray[np.float64], source: NDArray[np.int64], agents: int
) -> NDArray[np.float64]:
    said = np.full((2, agents), np.inf)
    result = np.empty(len(due))
    for row in range(len(due)):
        said[source[row], agent[row]] = due[row]
        reported, fallback = said[0, agent[row]], said[1, agent[row]]
        result[row] = reported if reported < np.inf else fallback + BEHIND
    return result


def expiring(hints: Hints, patience: float) -> Hints:
    """Return hints that are forgotten `patience` requests after they were due.

    Without this an agent that never comes would stay the nearest of all.
    """
    order = np.lexsort((hints.at, hints.agent))
    agent, at, due = hints.agent[order], hints.at[order], hints.due[order]
    repeated_at = np.append(np.where(agent[1:] == agent[:-1], at[1:], np.inf), np.inf)
    ends = np.ceil(due + patience)
    stale = ends < repeated_at
    end = Hints(ends[stale].astype(np.int64), agent[stale], np.full(int(stale.sum()), np.inf))
    return _merged(hints, end)


def _merged(first: Hints, second: Hints) -> Hints:
    """Return two streams as one; of two hints at one position the second stream's holds."""
    at = np.concatenate([first.at, second.at])
    order = np.argsort(at, kind="stable")
    agent = np.concatenate([first.agent, second.agent])
    due = np.concatenate([first.due, second.due])
    return Hints(at[order], agent[order], due[order])

"""What was known about the future at each point of a trace, as one stream of corrections."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.replay.orders.belady import NEVER, next_uses
from policies.replay.trace import Trace


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
    first = _first_requests(trace)
    return _stream(
        np.zeros(len(first), np.int64),
        trace.agent[first],
        first.astype(np.float64),
        np.arange(len(due)),
        trace.agent,
        due,
    )


def told_hints(trace: Trace, horizon_steps: int = 1) -> Hints:
    """Return what a simulation tells that knows the order of this and the next steps.

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
    # A request beyond the horizon of the one before is told when its step comes into sight.
    previous = np.full(len(following), -1, np.int64)
    real = following != NEVER
    previous[following[real]] = np.flatnonzero(real)
    in_sight = starts[np.maximum(index - horizon_steps, 0)]
    late = np.flatnonzero((previous < 0) | (index > index[previous] + horizon_steps))
    late = late[np.argsort(in_sight[late], kind="stable")]
    return _stream(
        in_sight[late],
        trace.agent[late],
        late.astype(np.float64),
        np.arange(len(due)),
        trace.agent,
        due,
    )


def noisy_hints(hints: Hints, sigma: float, rng: np.random.Generator) -> Hints:
    """Return hints whose distances are off by a lognormal factor of spread `sigma`."""
    distance = hints.due - hints.at
    return hints._replace(due=hints.at + distance * rng.lognormal(0.0, sigma, len(distance)))


def _first_requests(trace: Trace) -> NDArray[np.int64]:
    return np.unique(trace.agent, return_index=True)[1]


def _stream(
    early_at: NDArray[np.int64],
    early_agent: NDArray[np.int32],
    early_due: NDArray[np.float64],
    at: NDArray[np.int64],
    agent: NDArray[np.int32],
    due: NDArray[np.float64],
) -> Hints:
    """Merge what is told ahead with what each request tells about its own agent."""
    order = np.argsort(np.concatenate([at, early_at]), kind="stable")
    return Hints(
        np.concatenate([at, early_at])[order],
        np.concatenate([agent, early_agent])[order],
        np.concatenate([due, early_due])[order],
    )

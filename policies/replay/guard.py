"""Hints are advice: follow them only while they do better than knowing nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.distance.learned.shadow_scoring import Scoreboard
from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.hints import Hints, no_hints


def guarded(
    trace: Trace, candidates: Sequence[Hints], play: Callable[[Hints], NDArray[np.float64]]
) -> Hints:
    """Return the hints of whichever candidate has lately served best; recency is the floor.

    Each candidate is judged by a shadow of its own; at request i only the outcome of earlier
    requests is known. See `Scoreboard` for the bound.

    Args:
        trace: The requests.
        candidates: Besides recency, the most trusted first.
        play: Returns how well a shadow that follows the given hints alone served each request,
            float64[n]: 1 for a hit, 0 for a full load.
    """
    streams = [no_hints(), *candidates]
    served = np.stack([play(hints) for hints in streams])
    board = Scoreboard(len(streams), trusted=min(1, len(candidates)))
    leader = np.empty(len(trace.agent), np.int64)
    for i, outcome in enumerate(served.T):
        leader[i] = board.leader
        board.update(outcome)
    return _spliced(streams, leader, len(trace.names))


def _spliced(streams: Sequence[Hints], leader: NDArray[np.int64], agents: int) -> Hints:
    """Return one stream that says at each request what the leader's stream says."""
    cuts = np.flatnonzero(np.diff(leader)) + 1
    parts = []
    for start, stop in zip(np.r_[0, cuts], np.r_[cuts, len(leader)], strict=True):
        hints = streams[leader[start]]
        first, end = np.searchsorted(hints.at, [start, stop - 1], side="right")
        due = np.full(agents, np.inf)
        due[hints.agent[:first]] = hints.due[:first]
        taken_over = Hints(np.full(agents, start), np.arange(agents, dtype=np.int32), due)
        parts += [taken_over, Hints(*(column[first:end] for column in hints))]
    return Hints(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

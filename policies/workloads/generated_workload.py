"""A generated workload: a trace, and what its own estimator foresaw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.policies.replay.activation_trace import Trace, make_trace
from scalesim.vocabulary import Distances


class GeneratedWorkload(NamedTuple):
    """A seeded simulation without its language model.

    Attributes:
        trace: Who asked when.
        foreseen: float32[steps, agents], distances at the beginning of each step as the
            estimator of this class of simulation gave them.
    """

    trace: Trace
    foreseen: NDArray[np.float32]


def workload(
    agents: int, steps: Sequence[Rows], foreseen: Sequence[Distances]
) -> GeneratedWorkload:
    """Return a workload from who acted in each step, in order, and what was foreseen."""
    step = np.repeat(np.arange(len(steps)), [len(active) for active in steps])
    return GeneratedWorkload(make_trace(step, np.concatenate(steps), agents), np.stack(foreseen))

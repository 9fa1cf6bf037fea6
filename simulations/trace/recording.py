"""Recorded activations: JSON lines with `step` and `agent`; other fields are ignored."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scalesim.policies.replay.activation_trace import parse_trace
from scalesim.simulations.schedule import AgentRows
from scalesim.simulations.trace.trace_files import read_lines


class Recording(NamedTuple):
    """Who acted in each recorded step.

    Attributes:
        agents: Names in the order in which the file has them.
        calls: One array a step that has events: rows of `agents` in recorded order.
    """

    agents: tuple[str, ...]
    calls: list[AgentRows]


def read_recording(path: Path) -> Recording:
    """Return the activations recorded in a file; steps without events are left out.

    Raises:
        InvalidRequestError: The file cannot be read or is empty, or a line is not an event; names
            the line.
    """
    trace = parse_trace(read_lines(path))
    return Recording(trace.names, np.split(trace.agent, np.flatnonzero(np.diff(trace.step)) + 1))

"""The trace workload: recorded activations with generated prompts."""

from __future__ import annotations

from pathlib import Path

from scalesim.errors import ConfigurationError
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.trace.recording import read_recording
from scalesim.simulations.workload import PromptSize, Workload


def recorded(path: Path, *, steps: int | None = None, size: PromptSize, seed: int = 0) -> Workload:
    """Return the recorded run as a workload, whole or its first `steps` steps.

    Raises:
        InvalidRequestError: The file is not a recording.
        ConfigurationError: `steps` is out of range.
    """
    agents, calls = read_recording(path)
    steps = len(calls) if steps is None else steps
    if not 0 < steps <= len(calls):
        raise ConfigurationError(
            f"{path} has {len(calls)} steps with events, not {steps}: give --steps 1 to "
            f"{len(calls)}, or leave it out to run the whole trace"
        )
    return Workload("trace", agents, Schedule(len(agents), calls, ordered=True), steps, size, seed)

"""`trace`: replays who acted when in a recorded run, through the real stack."""

from scalesim.simulations.trace.recording import Recording, read_recording
from scalesim.simulations.trace.trace_workload import recorded

__all__ = ["Recording", "read_recording", "recorded"]

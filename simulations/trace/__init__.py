"""`trace`: replays who acted when in a recorded run, through the real stack."""

from simulations.trace.recording import Recording, read_recording
from simulations.trace.workload import recorded

__all__ = ["Recording", "read_recording", "recorded"]

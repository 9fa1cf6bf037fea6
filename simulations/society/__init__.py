"""`society`: villagers with daily plans, few of whom act in any one step."""

from scalesim.simulations.society.town import draw_days
from scalesim.simulations.society.workload import society

__all__ = ["draw_days", "society"]

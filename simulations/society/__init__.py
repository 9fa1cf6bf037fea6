"""`society`: villagers with daily plans, few of whom act in any one step."""

from scalesim.simulations.society.society_workload import society
from scalesim.simulations.society.town import draw_days

__all__ = ["draw_days", "society"]

"""`society`: villagers with daily plans, few of whom act in any one step."""

from simulations.society.town import draw_days
from simulations.society.workload import society

__all__ = ["draw_days", "society"]

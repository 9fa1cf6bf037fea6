"""`society`: villagers with daily plans, few of whom act in any one step."""

from scalesim.simulations.society.society_workload import society

__all__ = ["society"]

"""Stepping: which agents may take their next turn.

Whatever the order, every turn sees what it would see if all agents went step by step together.
"""

from scalesim.policies.stepping.barrier import Barrier
from scalesim.policies.stepping.causal import Causal
from scalesim.policies.stepping.conductor import Conductor, Dependencies
from scalesim.policies.stepping.space import Space

__all__ = ["Barrier", "Causal", "Conductor", "Dependencies", "Space"]

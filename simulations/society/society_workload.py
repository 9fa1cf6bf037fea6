"""The society workload, from its few numbers."""

from __future__ import annotations

from scalesim.errors import ConfigurationError
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.workload import PromptSize, Workload

_FORESEEN_STEPS = 16
"""Steps drawn past the end of the run: plans do not end where the measurement does."""


def society(
    *, agents: int = 48, steps: int = 12, active: float = 0.2, size: PromptSize, seed: int = 0
) -> Workload:
    """Return a town of `agents` villagers; `round(active * agents)` of them act in each step.

    Raises:
        ConfigurationError: A number is out of range.
    """
    from scalesim.simulations.society.daily_plans import draw_days  # loads Mesa, half a second

    acting = round(active * agents)
    if not (agents > 0 and steps > 0 and 0 < acting <= agents):
        raise ConfigurationError(
            f"society cannot run {agents} agents for {steps} steps with a share of {active} "
            "active: use at least one agent and step, and a share that makes one to all act"
        )
    days = draw_days(agents, acting, steps + _FORESEEN_STEPS, seed)
    width = len(str(agents - 1))
    names = tuple(f"villager-{row:0{width}d}" for row in range(agents))
    schedule = Schedule(agents, days.calls, ordered=False)
    return Workload("society", names, schedule, steps, size, seed, days.hours)

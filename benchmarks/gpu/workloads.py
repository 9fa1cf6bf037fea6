"""What the arms run: the society, and the generated trace of every class of simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.stepping import Conductor
from scalesim.policies.workloads import WORKLOADS, generate
from scalesim.sender import Stats
from scalesim.simulation import Simulation
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.forecast import Forecast, Foresight
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.world_state import AgentRecord
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.scheduled_world import ScheduledWorld
from scalesim.simulations.society import society
from scalesim.simulations.workload import PromptSize, Workload

CLASSES = ("society", *WORKLOADS)

_HORIZON = 64
"""Steps generated, of which as many are run as hold the calls wanted."""


class PlayedWorkload(NamedTuple):
    """A workload, and what its simulation foresees.

    Attributes:
        workload: Who calls when.
        foreseen: float32[steps, n], distances as an estimator says them when a step begins; None
            where the schedule is known.
    """

    workload: Workload
    foreseen: NDArray[np.float32] | None = None

    def foresight(self, world: ScheduledWorld, hints: Simulation) -> Foresight:
        """Return how its distances are reported."""
        if self.foreseen is None:
            return Forecast(world, Roster(world), hints)
        return _Estimated(self.workload.agents, self.foreseen, hints)


class _Estimated:
    """Reports what an estimator foresees, when a step begins; see `Foresight`."""

    def __init__(
        self, names: Sequence[str], foreseen: NDArray[np.float32], hints: Simulation
    ) -> None:
        self._names, self._foreseen, self._hints = names, foreseen, hints
        self._floor = 0

    def begin(self, agents: Sequence[AgentRecord], conductor: Conductor) -> None:
        """Nothing is known before the first step."""

    def took(self, turns: Sequence[TakenTurn], floor: int) -> None:
        """Turns tell nothing."""

    def report(self, conductor: Conductor) -> None:
        floor = conductor.floor()
        if floor == self._floor or floor > len(self._foreseen):
            return
        self._floor = floor
        self._hints.step(floor)
        self._hints.distances(self._names, self._foreseen[floor - 1].tolist())

    def close(self) -> Stats:
        self._hints.close()
        return self._hints.stats


def played(
    name: str, agents: int, calls: int, size: PromptSize, seed: int, active: float = 0.2
) -> PlayedWorkload:
    """Return a seeded workload of about so many calls after the warm-up.

    Args:
        name: One of `CLASSES`.
        agents: How many.
        calls: Wanted; the last step is run whole.
        size: Tokens of one call.
        seed: Of prompts and activations.
        active: Share of the society that acts in a step; other classes have their own.
    """
    # An engine that runs several must not take one's agents, and what it learned of their prompts,
    # for another's.
    own = "-".join(map(str, (name, agents, *size, seed)))
    if name == "society":
        steps = max(2, round(calls / max(1, round(active * agents))))
        town = society(agents=agents, steps=steps, active=active, size=size, seed=seed)
        return PlayedWorkload(replace(town, name=own))
    trace, foreseen = generate(name, agents, _HORIZON, seed)
    rows = [trace.agent[trace.step == step] for step in range(_HORIZON)]
    until = next(
        (n for n, made in enumerate(accumulate(map(len, rows)), 1) if made >= calls), _HORIZON
    )
    schedule = Schedule(agents, rows, ordered=False)
    return PlayedWorkload(Workload(own, trace.names, schedule, until, size, seed), foreseen)

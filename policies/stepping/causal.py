"""Out of order, same result: an agent goes on as soon as nobody behind it can reach it.

Source: AI Metropolis: scaling large language model-based multi-agent simulation with out-of-order
execution, arXiv 2411.03519.
"""

from __future__ import annotations

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.policies.stepping.blockers import State, checked, take_in
from scalesim.policies.stepping.conductor import Dependencies, Positions, Steps
from scalesim.policies.stepping.grid import NOBODY
from scalesim.policies.stepping.space import Space
from scalesim.vocabulary import Distances

LEAD_STEPS = 64
"""How far an agent may be ahead of the last one: bounds what is kept of the past."""


class Causal:
    """Gives out each turn as soon as no turn that is still to come can have an effect on it.

    Agent a may take step t when
    - nobody behind it could still reach it: distance(a, b) > reach + speed * (t - t_b) for every b
      whose next turn t_b is before t;
    - those it sees are at t, and those it depends on are past t;
    - it is at most `lead` steps ahead of the last agent.

    Never stuck: the earliest turns of all, parents first, always may begin.

    Args:
        step: int64[n], first turn of each agent.
        end: Agents whose next turn is at or past this step have none.
        space: Where agents are; moved along. None where they have no places.
        reach: How far agents see and speak, in the unit of positions.
        speed: How far an agent moves in a step, at most.
        depends: Who waits for whom; must not hold a cycle of lag 1.
        lead: In steps.
    """

    def __init__(
        self,
        step: Steps,
        end: int,
        *,
        space: Space | None = None,
        reach: float = 0.0,
        speed: float = 0.0,
        depends: Dependencies | None = None,
        lead: int = LEAD_STEPS,
    ) -> None:
        agents = len(step)
        if space is None:
            space = Space(np.full((agents, 2), np.nan), step, 1.0)
        self._grid = space.grid
        self.step = self._grid.step
        self._end = end
        self._numbers = (float(reach), float(speed), int(lead))
        at = np.bincount(np.minimum(step, end), minlength=end + 1)
        self._state = State(
            np.full(agents, NOBODY),
            np.full(agents + 1, NOBODY),
            np.full(agents, NOBODY),
            at,
            np.array([np.argmax(at > 0)]),
            np.empty(agents, np.int64),
            depends or Dependencies.make(agents),
        )

    def begin(self) -> Rows:
        """See `Conductor.begin`."""
        rows = np.flatnonzero(self.step < self._end)
        return checked(self._grid, self._state, *self._numbers, rows)

    def done(self, rows: Rows, next_step: Steps, position: Positions | None = None) -> Rows:
        """See `Conductor.done`."""
        if position is None:
            position = self._grid.where[rows]
        return take_in(self._grid, self._state, *self._numbers, rows, next_step, position)

    def floor(self) -> int:
        """See `Conductor.floor`."""
        return int(self._state.floor[0])

    def waves(self) -> Distances:
        """See `Conductor.waves`."""
        agents = len(self.step)
        blocker = self._state.blocker
        waits = blocker != NOBODY
        up = np.append(np.where(waits, blocker, agents), agents)
        ahead = np.append(waits, False).astype(np.float32)
        ahead[:-1][blocker == agents] = self._numbers[-1]
        while (up != agents).any():
            ahead += ahead[up]
            up = up[up]
        ahead[:-1][self.step >= self._end] = np.inf
        return ahead[:-1]

"""A Mesa model as a World: its agents, their places and the order they act in come along."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from scalesim.errors import WorldError
from scalesim.plain_values import packed
from scalesim.world import World

if TYPE_CHECKING:
    from scalesim.me import Me

Activation = Literal["together", "in order", "shuffled"]

_MESAS = {"model", "unique_id", "pos"}


class MesaWorld(World):
    """Runs the agents of a Mesa model, each of which takes its turn in `async def act(me, step)`.

    Within a turn an agent's own attributes are what it remembers: plain ones are kept from turn to
    turn and shown to others, those that begin with `_` are not and must not be changed. The model
    and its space are as they were at the start, on every machine: a turn moves its agent by
    setting `self.pos`, and looks at others by `me.near()`.

    Args:
        model: A `mesa.Model` with its agents, built before the first step.
        activation: `together` as of the step before; `in order` as `model.agents.do` and
            `shuffled` as `model.agents.shuffle_do`, where each sees those before it in the step.
        reach: How far agents see and speak, where they have a `pos`; with `together` only.
        speed: How far they move in a step, at most.
        seed: Seed of the shuffles and of what turns draw.
    """

    def __init__(
        self,
        model: Any,
        *,
        activation: Activation = "together",
        reach: float = 0.0,
        speed: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._theirs = {f"{type(one).__name__}-{one.unique_id}": one for one in model.agents}
        super().__init__(agents=len(self._theirs), seed=seed)
        self._activation = activation
        self.reach, self.speed = reach, speed

    def knows(self, name: str) -> bool:
        """See `World.knows`: of an order or of places, as the model has them."""
        together = self._activation == "together"
        if name == "order":
            return not together
        if name == "position":
            return together and self.reach > 0
        if name == "next_turn":
            return any(hasattr(agent, "next_turn") for agent in self._theirs.values())
        return super().knows(name)

    def agents(self) -> Iterable[str]:
        """See `World.agents`: `CLASS-NUMBER`, by Mesa's `unique_id`."""
        return list(self._theirs)

    def start(self, agent: str) -> dict[str, Any]:
        """See `World.start`: the agent's plain attributes."""
        return self._state(self._theirs[agent], agent)

    async def act(self, me: Me, step: int) -> None:
        """See `World.act`: the agent's own `act`, with what it remembers as its attributes."""
        agent = self._agent(me)
        await agent.act(me, step)
        me.state.clear()
        me.state.update(self._state(agent, f"{me.id} in step {step}"))

    def next_turn(self, me: Me) -> float:
        """See `World.next_turn`: the agent's own `next_turn(me)` where it has one."""
        agent = self._agent(me)
        return float(agent.next_turn(me)) if hasattr(agent, "next_turn") else me.step + 1

    def position(self, state: dict[str, Any]) -> tuple[float, float] | None:
        """See `World.position`: Mesa's `pos`."""
        place = state.get("pos")
        return None if place is None else (float(place[0]), float(place[1]))

    def order(self, step: int) -> list[str]:
        """See `World.order`."""
        names = list(self._theirs)
        if self._activation == "shuffled":
            random.Random(f"{self.seed}/{step}").shuffle(names)  # noqa: S311 - a simulation's draws
        return names

    def _agent(self, me: Me) -> Any:
        agent = copy.copy(self._theirs[me.id])
        state = dict(me.state)
        place = state.pop("pos", None)
        vars(agent).update(state, pos=None if place is None else tuple(place))
        return agent

    def _state(self, agent: Any, who: str) -> dict[str, Any]:
        kept = {
            name: value
            for name, value in vars(agent).items()
            if name not in _MESAS and name[0] != "_"
        }
        for name, value in kept.items():
            try:
                packed(value)
            except ValueError as error:
                raise WorldError(
                    f"{who} keeps {name}: {error}; or let its name begin with _ if it never changes"
                ) from None
        place = getattr(agent, "pos", None)
        return kept if place is None else {**kept, "pos": [float(value) for value in place]}

"""A simulation as its author writes it: who there is, and what one turn of one agent does.

::

    class Town(scalesim.World):
        async def act(self, me, step):
            heard = "; ".join(f"{m.sender}: {m.content}" for m in me.inbox)
            said = await me.ask(f"You are {me.id}. You hear: {heard}. What do you say?")
            for other in me.near():
                me.tell(other.id, said)

Run it with `scalesim sim run town.py:Town --agents 20 --steps 10`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from scalesim.errors import WorldError

if TYPE_CHECKING:
    from scalesim.identity import AgentId
    from scalesim.me import Me


class World:
    """Base of every World: override `act`, and whatever else the simulation knows.

    Agents act in steps 1, 2, ... Whatever a turn learns of others, by `me.near()` and `me.inbox`,
    is as of the step before, so that the turns of a step can run in any order, on many machines,
    with the same result. A World holds what never changes; what an agent remembers belongs into
    `me.state`.

    What is known of who acts when, and of who can meet whom, is told by overriding any of
    `next_turn`, `rate`, `position`, `edges`, `depends_on` and `order`. Distances come from these,
    and with `position`, `edges` or `depends_on` agents need not wait for a whole step to end.

    Args:
        agents: How many there are.
        seed: Seed of everything that is drawn.

    Attributes:
        reach: With `position`: how far an agent sees and speaks, in the unit of positions.
        speed: With `position`: how far it moves in a step, at most.
        pinned: Agents whose memory stays on the device, e.g. one that everyone calls.
    """

    reach: float = 0.0
    speed: float = 0.0
    pinned: Sequence[AgentId] = ()
    _sealed: ClassVar[bool] = False

    def __init__(self, agents: int = 25, seed: int = 0) -> None:
        self.count = agents
        self.seed = seed

    def agents(self) -> Iterable[AgentId]:
        """Return who there is: `agent-0`, `agent-1`, ... unless overridden."""
        width = len(str(self.count - 1))
        return [f"agent-{number:0{width}}" for number in range(self.count)]

    def start(self, agent: str) -> dict[str, Any]:
        """Return an agent's state before the first step: a dict of JSON-like values."""
        return {}

    async def act(self, me: Me, step: int) -> None:
        """Take one turn of one agent; `me.state` may be changed, nothing else.

        Runs again from the state before it where a worker died half way.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what a turn is: write `act`")

    def public(self, state: dict[str, Any]) -> Any:
        """Return what others see of an agent: all of its state unless overridden; None hides it."""
        return state

    def next_turn(self, me: Me) -> float:
        """Return when the agent acts next, after a turn; in the next step unless overridden.

        The fraction of a number is a place within its step: of the turns that may begin, those
        with lower numbers begin first. `math.inf` is never.
        """
        return me.step + 1

    def rate(self, me: Me, step: int) -> float:
        """Return the chance that the agent acts in a later step; it is drawn ahead of time."""
        return 1.0

    def position(self, state: dict[str, Any]) -> tuple[float, float] | None:
        """Return where an agent is; None, always or never, for one that is nowhere."""
        return None

    def edges(self) -> Iterable[tuple[AgentId, AgentId]]:
        """Return pairs (a, b): b sees what a shows, and a can tell b."""
        return ()

    def depends_on(self, agent: str) -> Iterable[AgentId]:
        """Return who acts before the agent in each step: it sees what they did in that step."""
        return ()

    def order(self, step: int) -> Sequence[AgentId]:
        """Return who acts in a step, one after the other; each sees those before it."""
        return ()

    def knows(self, name: str) -> bool:
        """Return whether the World says something by `name`, one of the optional methods."""
        return getattr(type(self), name) is not getattr(World, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute.

        Raises:
            WorldError: Turns have begun: another agent, on another machine, would not see it.
        """
        if self._sealed:
            raise WorldError(
                f"{type(self).__name__}.{name} was set in a turn, where no other machine sees it: "
                "keep it in me.state, or tell it"
            )
        super().__setattr__(name, value)

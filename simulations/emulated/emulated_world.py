"""A World on the emulated GPU: turns run between passes, in no time of their own."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from scalesim.identity import AgentId, agent_text
from scalesim.sender import Stats
from scalesim.simulations.driver.forecast import Forecast, Foresight
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.emulated.asked_engine import AskedEngine
from scalesim.simulations.emulated.emulated_controller import ControlPlane
from scalesim.simulations.emulated.emulated_stack import EmulatedStack
from scalesim.simulations.emulated.virtual_loop import VirtualLoop
from scalesim.world import World

Result = TypeVar("Result")


class EmulatedWorld:
    """Lets a World's driver use an emulated stack, on the stack's clock.

    Args:
        stack: Answers, and takes distances where it has a controller.
        simulation: Namespace of the agents.

    Attributes:
        model: What agents ask.
    """

    def __init__(self, stack: EmulatedStack, simulation: str) -> None:
        self._stack = stack
        self._loop = VirtualLoop(stack.clock)
        hinted = stack.plane is not None
        self.model = AskedEngine(stack.engine, simulation, hinted, stack.call_s)

    def foresight(self, world: World) -> Foresight | None:
        """Return what reports a World's distances; None in arms without a controller."""
        if self._stack.plane is None:
            return None
        hints = ControllerHints(self._stack.plane)
        return Forecast(world, Roster(world), hints, self._loop.time)

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Return what a coroutine does; the engine makes passes until it ends.

        Raises:
            Exception: What the coroutine or the scheduler raises.
        """
        results: list[Result] = []

        async def kept() -> None:
            results.append(await main)

        self._stack.engine.run(self._loop.script(kept(), self._go_on))
        return results[0]

    def _go_on(self) -> None:
        self.model.go_on()
        self._stack.go_on()


class ControllerHints:
    """Distances for a controller on the virtual clock, as late as the client sends them.

    Args:
        plane: Takes them.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.stats = Stats()

    def step(self, t: int) -> None:
        """See `Simulation.step`."""
        self._plane.step(t, {})

    def distances(self, ids: Sequence[AgentId], values: Sequence[float]) -> None:
        """See `Simulation.distances`."""
        for agent, ahead in zip(ids, values, strict=True):
            self._plane.wake(agent_text(agent), self._plane.epoch + ahead)
        self.stats = self.stats._replace(sent=self.stats.sent + len(ids))

    def pin(self, *agents: AgentId) -> None:
        """See `Simulation.pin`."""
        self._plane.pin([agent_text(agent) for agent in agents])

    def close(self) -> None:
        """Nothing is held; what waits is sent as time goes on."""

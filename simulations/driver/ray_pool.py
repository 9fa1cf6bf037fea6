"""Turns spread over Ray workers: one message a worker for many turns, and none is lost with one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from scalesim.errors import UnavailableError
from scalesim.simulations.driver.agent_turns import AgentTurn, TakenTurn
from scalesim.simulations.driver.asked_model import MakeModel
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.world import World

_DEATHS = 5
"""Deaths of one worker in a row, without a turn between them: what it is given ends it."""

_CLOSE_S = 10.0


class TurnWorker:
    """A worker's process: takes turns for the driver. See `TurnRunner` for the arguments."""

    def __init__(self, world: World, model: MakeModel, simulation: str, end: int) -> None:
        self._pool = LocalPool(TurnRunner(world, model(), simulation, end))

    async def give(self, turns: Sequence[AgentTurn]) -> None:
        """See `TurnPool.give`."""
        await self._pool.give(turns)

    async def taken(self) -> list[TakenTurn]:
        """See `TurnPool.taken`."""
        return await self._pool.taken()

    async def close(self) -> None:
        """See `TurnPool.close`."""
        await self._pool.close()


class _Seat:
    """One worker, whichever process it is by now, and the turns that it has."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.actor: Any = None
        self.asked: asyncio.Future[list[TakenTurn]] | None = None
        self.turns: dict[int, AgentTurn] = {}
        self.deaths = 0


class RayWorkers(NamedTuple):
    """What workers are made of; see `TurnRunner`.

    Attributes:
        world: The World, sent to each worker once.
        model: Makes what its agents ask, in each worker.
        simulation: Namespace of the agents.
        end: The first step that is not run.
        workers: How many.
        here: On this machine only, as where the stack listens on its loopback; else on all.
    """

    world: World
    model: MakeModel
    simulation: str
    end: int
    workers: int
    here: bool = True


class RayTurnPool:
    """Turns over Ray actors; an agent keeps its worker. Ray must be initialised.

    A worker whose process or machine has died is replaced, and takes the turns it had once more.

    Args:
        made_of: What to start.
    """

    def __init__(self, made_of: RayWorkers) -> None:
        import ray

        for kind in type(made_of.world).__mro__[:-1]:
            if kind.__module__.partition(".")[0] != "scalesim":  # it need not be importable there
                ray.cloudpickle.register_pickle_by_value(sys.modules[kind.__module__])
        self._here = made_of.here
        self._worker = ray.remote(num_cpus=0)(TurnWorker)
        self._arguments = (ray.put(made_of.world), *made_of[1:4])
        self._seats = [_Seat(number) for number in range(made_of.workers)]
        for seat in self._seats:
            self._fill(seat)

    @property
    def actors(self) -> list[Any]:
        """Handles of the workers, as they are now."""
        return [seat.actor for seat in self._seats]

    async def give(self, turns: Sequence[AgentTurn]) -> None:
        """See `TurnPool.give`."""
        given: dict[int, list[AgentTurn]] = {}
        for turn in turns:
            given.setdefault(turn.row % len(self._seats), []).append(turn)
        for place, theirs in given.items():
            seat = self._seats[place]
            seat.turns.update((turn.row, turn) for turn in theirs)
            seat.actor.give.remote(theirs)

    async def taken(self) -> list[TakenTurn]:
        """See `TurnPool.taken`.

        Raises:
            UnavailableError: A worker died again and again without ending a turn.
        """
        ended: list[TakenTurn] = []
        while not ended:
            for seat in self._seats:
                if seat.turns and seat.asked is None:
                    seat.asked = asyncio.wrap_future(seat.actor.taken.remote().future())
            asked = [seat.asked for seat in self._seats if seat.asked is not None]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for seat in self._seats:
                if seat.asked is not None and seat.asked.done():
                    ended += self._answer(seat)
        return ended

    async def close(self) -> None:
        """See `TurnPool.close`."""
        import ray

        for seat in self._seats:
            if seat.asked is not None:
                seat.asked.cancel()
        closing = [asyncio.wrap_future(seat.actor.close.remote().future()) for seat in self._seats]
        await asyncio.wait(closing, timeout=_CLOSE_S)
        for future in closing:
            if future.done():
                future.exception()
        for seat in self._seats:
            ray.kill(seat.actor)

    def _answer(self, seat: _Seat) -> list[TakenTurn]:
        from ray.exceptions import ActorUnschedulableError, RayActorError

        assert seat.asked is not None
        asked, seat.asked = seat.asked, None
        try:
            ended = asked.result()
        except (RayActorError, ActorUnschedulableError) as error:  # the latter: its node has gone
            seat.deaths += 1
            if seat.deaths >= _DEATHS:
                raise UnavailableError(
                    f"a worker died {seat.deaths} times in a row at the same turns ({error}): look "
                    "at its log in Ray's, and at what these turns need"
                ) from None
            self._fill(seat)
            seat.actor.give.remote(list(seat.turns.values()))
            return []
        seat.deaths = 0
        for turn in ended:
            del seat.turns[turn.row]
        return ended

    def _fill(self, seat: _Seat) -> None:
        """Start its worker, dealt out in turn: what needs no CPU, SPREAD does not place."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = ray.get_runtime_context().get_node_id()
        if not self._here:
            alive = sorted(each["NodeID"] for each in ray.nodes() if each["Alive"])
            node = alive[seat.number % len(alive)]
        placed = NodeAffinitySchedulingStrategy(node, soft=False)
        seat.actor = self._worker.options(scheduling_strategy=placed).remote(*self._arguments)

"""Takes turns: gives an agent what it may know, lets the World act, and checks what it did."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from scalesim.context import agent as agent_context
from scalesim.errors import CallFailedError, ScaleSimError, WorldError
from scalesim.headers import STEP
from scalesim.me import Chat, InboxMessage, Me, ModelReply, TextListener
from scalesim.plain_values import packed
from scalesim.simulations.call_table import CallRow
from scalesim.simulations.driver.agent_turns import NEVER, AgentTurn, TakenTurn, step_of
from scalesim.simulations.driver.asked_model import AskedModel
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.surroundings import Surroundings
from scalesim.world import World

TURN_TIMEOUT_S = 1800.0
"""Longest a whole turn may take with all its calls: it may wait long for the model, but not without
end."""

_FAR = 2.0**40
"""Positions beyond it cannot be distinguished to a thousandth."""


class TurnRunner:
    """Takes the turns it is given, on one event loop.

    Args:
        world: What agents do; nothing of it can be set from now on.
        model: What they ask.
        simulation: Namespace of the agents.
        end: The first step that is not run.
    """

    def __init__(self, world: World, model: AskedModel, simulation: str, end: int) -> None:
        self._world, self._model, self._simulation, self._end = world, model, simulation, end
        self._roster = Roster(world)
        object.__setattr__(world, "_sealed", True)

    async def take(self, turn: AgentTurn) -> TakenTurn:
        """Return what came of a turn; where the World raises, nothing but an `error` did."""
        name = self._roster.names[turn.row]
        calls: list[CallRow] = []
        try:
            with agent_context(name, self._simulation):
                return await asyncio.wait_for(self._take(turn, name, calls), TURN_TIMEOUT_S)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # the pool gives the turn up; else something within it was cancelled
            message = str(error) or "no message"
            if not isinstance(error, ScaleSimError):
                message = f"{type(error).__name__}: {message}"
            where = f"{name} in step {turn.step}"
            return self.unchanged(
                turn, calls, message if where in message else f"{where}: {message}"
            )

    def begin(self, row: int) -> TakenTurn:
        """Return how an agent begins, as a turn of step 0.

        Raises:
            WorldError: Its state cannot be written down, or it is nowhere that can be.
        """
        name = self._roster.names[row]
        turn = AgentTurn(row, 0, b"", (), ())
        around = Surroundings(self._roster, turn)
        me = Me(name, 0, self._world.start(name), (), around, _nobody, self._world.seed)
        return self._taken(me, row, self._where(me.state), ())

    def unchanged(self, turn: AgentTurn, calls: list[CallRow], error: str) -> TakenTurn:
        """Return a turn after which everything is as before it."""
        state = msgspec.msgpack.decode(turn.state)
        shown = packed(self._world.public(state))
        place = self._where(state)
        after = turn.step + 1
        if self._roster.ordered:
            after = self._ordered(turn.row, after)
        return TakenTurn(
            turn.row, turn.step, turn.state, shown, place, after, (), _in_order(calls), error
        )

    async def close(self) -> None:
        """Release connections."""
        await self._model.close()

    async def _take(self, turn: AgentTurn, name: str, calls: list[CallRow]) -> TakenTurn:
        numbers = itertools.count()

        async def ask(messages: Chat, parameters: Any, on_text: TextListener | None) -> ModelReply:
            number = next(numbers)  # of several at once the order is that of asking
            given = parameters.get("extra_headers") or {}
            headers = {STEP: str(turn.step), **given}
            parameters = {**parameters, "extra_headers": headers}
            said = await self._model.chat(turn.row, name, messages, parameters, on_text)
            calls.append(CallRow(turn.step, turn.row, number, said.answer))
            if said.answer.error:
                raise CallFailedError(f"the model did not answer: {said.answer.error}")
            return ModelReply(said.answer.text, said.message, said.usage)

        state = msgspec.msgpack.decode(turn.state)
        before = self._where(state)
        inbox = [
            InboxMessage(
                self._roster.names[one.sender], msgspec.msgpack.decode(one.content), one.step
            )
            for one in turn.inbox
        ]
        around = Surroundings(self._roster, turn)
        me = Me(name, turn.step, state, inbox, around, ask, self._world.seed)
        try:
            await self._world.act(me, turn.step)
        except SystemExit as error:  # it would end the event loop, and every turn on it
            raise WorldError(f"{name} in step {turn.step} ends the program: {error!r}") from None
        return self._taken(me, turn.row, before, calls)

    def _taken(
        self, me: Me, row: int, before: tuple[float, float] | None, calls: Sequence[CallRow]
    ) -> TakenTurn:
        sent = tuple((self._roster.rows[to], self._packed(me, what)) for to, what in me.sent)
        return TakenTurn(
            row,
            me.step,
            self._packed(me, me.state),
            self._packed(me, self._world.public(me.state)),
            self._place(me, before),
            self._next_turn(me, row),
            sent,
            _in_order(calls),
            "",
        )

    def _where(self, state: dict[str, Any]) -> tuple[float, float] | None:
        return self._world.position(state) if self._roster.spatial else None

    def _packed(self, me: Me, value: Any) -> bytes:
        try:
            return packed(value)
        except ValueError as error:
            raise WorldError(f"{me.id} in step {me.step} keeps or tells: {error}") from None

    def _place(self, me: Me, before: tuple[float, float] | None) -> tuple[float, float] | None:
        place = self._where(me.state)
        if (place is None) != (before is None):
            raise WorldError(
                f"{me.id} in step {me.step} went from {before} to {place}: an agent is somewhere "
                "always or never"
            )
        if place is None or before is None:
            return None
        if not all(abs(value) < _FAR for value in place):
            raise WorldError(f"{me.id} in step {me.step} is at {place}: use finite numbers")
        moved, speed = math.dist(before, place), self._world.speed
        if moved > speed * (1 + 1e-9) + 1e-9:
            raise WorldError(
                f"{me.id} in step {me.step} moved {moved:g}, faster than the World's speed of "
                f"{speed:g} a step: move less, or give the World a greater speed"
            )
        return (float(place[0]), float(place[1]))

    def _next_turn(self, me: Me, row: int) -> float:
        world, roster = self._world, self._roster
        turn = float(world.next_turn(me))
        if not turn >= me.step + 1:
            raise WorldError(
                f"{me.id} in step {me.step} acts next in step {turn:g}: next_turn must be later"
            )
        if not (roster.ordered or world.knows("rate")):
            return turn if turn < NEVER else math.inf
        step = step_of(turn)
        if roster.ordered:
            return self._ordered(row, step)
        draws = ((later, me.random.random()) for later in range(step, self._end))
        acts = (later for later, draw in draws if draw < world.rate(me, later))
        return next(acts, self._end)

    def _ordered(self, row: int, step: int) -> int:
        """Return the first step from `step` on in which an agent acts by `World.order`."""
        acts = (later for later in range(step, self._end) if row in self._roster.order(later))
        return next(acts, self._end)


def _in_order(calls: Sequence[CallRow]) -> tuple[CallRow, ...]:
    return tuple(sorted(calls, key=lambda call: call.call))


async def _nobody(*_: object) -> ModelReply:
    raise WorldError("a model is asked in turns, not before them")

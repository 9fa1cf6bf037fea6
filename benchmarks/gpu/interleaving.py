"""Turns played on a started engine, every answer judged."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.answer_check import ASKED
from benchmarks.gpu.answer_tally import AnswerTally
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import ReferenceAnswers
from benchmarks.gpu.turns import AskTurn, Flush, Move, Pause, Push, TakeBack, TurnPart, Turns

_PASS_S = 0.0015
"""What a pause counts for a pass: several times the shortest there is, a part of the longest."""

_ANSWERED_S = 120.0
"""A request that takes longer is never answered."""


class Interleaving:
    """One run of turns; a turn sends directives and, without waiting for them, requests.

    Args:
        steered: The engine.
        prompts: What agents ask.
        reference: What they must be answered.
        seed: Of everything drawn.
    """

    def __init__(
        self, steered: DrivenEngine, prompts: Prompts, reference: ReferenceAnswers, seed: int = 0
    ) -> None:
        self._steered = steered
        self._prompts = prompts
        self._turns = Turns(prompts, random.Random(seed))
        self._tally = AnswerTally(reference)
        self._rids = count()
        self._running: dict[asyncio.Task[None], str] = {}

    async def run(self, turns: int, go_on: Callable[[], bool]) -> dict[str, Any]:
        """Take so many turns, fewer where `go_on` says so, and return what was found.

        Raises:
            TimeoutError: A request is not answered.
        """
        for agent, view in self._prompts.all():  # twice, so that the private part is learned
            await self._ask("warm-up", AskTurn(agent, view), "warm-up")
        made: Counter[str] = Counter()
        for number, turn in enumerate(self._turns.draw(turns)):
            if number and number % 100 == 0 and not go_on():
                break
            for step in turn.steps:
                await self._step(turn.name, step)
            made[turn.name] += 1
            await self._calm(turn.calm)
        await self._calm(0)
        return {
            "turns": dict(made),
            **self._tally.figures(),
            "transfers": {kind: self._steered.transfers[kind]._asdict() for kind in self._kinds},
        }

    @property
    def _kinds(self) -> list[str]:
        return list(self._steered.holds)

    async def _step(self, turn: str, step: TurnPart) -> None:
        steered = self._steered
        match step:
            case AskTurn():
                rid = f"race-{next(self._rids)}"
                self._running[asyncio.create_task(self._ask(turn, step, rid))] = rid
            case Move(verb, agents, tier):
                for kind in self._kinds:
                    await steered.move(verb, agents, tier, kind)
            case Push(distances):
                for kind in self._kinds:
                    await steered.push(dict(distances), kind)
            case Pause(passes):
                await asyncio.sleep(passes * _PASS_S)
            case TakeBack(requests):
                for rid in list(self._running.values())[-requests:]:
                    steered.take_back(rid)
            case Flush():
                await self._calm(0)
                await steered.flush()

    async def _calm(self, most: int) -> None:
        """Let requests be answered until so many go on at most."""
        while len(self._running) > most:
            done, _ = await asyncio.wait(
                self._running, timeout=_ANSWERED_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise TimeoutError(f"requests {list(self._running.values())} are not answered")
            for task in done:
                del self._running[task]
                task.result()

    async def _ask(self, turn: str, asked: AskTurn, rid: str) -> None:
        agent, view, known = asked
        ids, more = self._prompts.ids(agent, view), self._prompts.more(agent)
        key = agent if known else None
        fields = {"rid": rid, **ASKED, **more}
        reply = await self._steered.ask(ids, self._prompts.output, key, **fields)
        if reply.taken_back:
            self._tally.taken_back += 1
        else:
            self._tally.judge(turn, agent, view, reply)

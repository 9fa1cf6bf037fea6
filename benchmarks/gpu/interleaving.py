"""Random moves under running requests, every answer judged."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any

from benchmarks.gpu.answer_check import ASKED
from benchmarks.gpu.driven_engine import DrivenEngine
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import ReferenceAnswers
from benchmarks.gpu.tally import Tally
from scalesim.vocabulary import PREFIX, Tier, Verb

IN_FLIGHT = 8
"""Requests that go on while the next turn begins, at most."""

_JITTER_S = 0.01
"""Longest pause between two commands of a turn: a few passes of the scheduler, a few copies."""


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
        self._peace = reference
        self._rng = random.Random(seed)
        self._tally = Tally(reference)
        self._asking: Counter[int] = Counter()
        self._running: set[asyncio.Task[None]] = set()
        self._turns = {
            "request overtakes prefetch": self._overtake,
            "evicted while it loads": self._evict_loading,
            "load slots exhausted": self._exhaust,
            "more requests than fit": self._crowd,
            "pinned, dropped, forgotten": self._upset,
        }

    async def run(self, turns: int, go_on: Callable[[], bool]) -> dict[str, Any]:
        """Take so many turns, fewer where `go_on` says so, and return what was found."""
        for agent, view in self._prompts.all():  # twice, so that the private part is learned
            self._asking[agent] += 1
            await self._ask("warm-up", agent, view)
        made: Counter[str] = Counter()
        while made.total() < turns and (made.total() % 100 or go_on()):
            name = self._rng.choice(list(self._turns))
            await self._turns[name](name)
            made[name] += 1
            calm = self._rng.randint(0, IN_FLIGHT)  # room for moves, or none
            while len(self._running) > calm:
                await self._some()
        while self._running:
            await self._some()
        return {
            "turns": dict(made),
            **self._tally.figures(),
            "transfers": {kind: self._steered.transfers[kind]._asdict() for kind in self._kinds},
        }

    @property
    def _kinds(self) -> list[str]:
        return list(self._steered.holds)

    async def _overtake(self, turn: str) -> None:
        agents = self._idle_agents(2)
        await self._demote(agents)
        await self._pause()  # a command that meets an older one for its agent replaces it
        await self._fetch(agents)
        await self._pause()
        self._start(turn, *agents)

    async def _evict_loading(self, turn: str) -> None:
        agents = self._idle_agents(3)
        await self._fetch(agents)
        await self._pause()
        await self._demote(agents[:2])
        self._start(turn, *self._some_agents(1), *agents[:1])

    async def _exhaust(self, turn: str) -> None:
        agents = self._idle_agents(self._prompts.agents // 2)
        await self._demote(agents)
        await self._pause()
        await asyncio.gather(*(self._fetch([agent]) for agent in agents))
        self._start(turn, *agents[:2])

    async def _crowd(self, turn: str) -> None:
        await self._push(self._some_agents(4))
        self._start(turn, *self._some_agents(4))

    async def _upset(self, turn: str) -> None:
        verb = self._rng.choice([Verb.PIN, Verb.UNPIN, Verb.UNPIN, Verb.DROP])
        for kind in self._kinds:
            await self._steered.move(verb, self._some_agents(2), kind=kind)
        await self._push(self._some_agents(4))
        self._start(turn, *self._some_agents(1))

    async def _fetch(self, agents: list[int]) -> None:
        everyone = range(self._prompts.agents)
        distances = {agent: self._rng.choice([5.0, 50.0, inf]) for agent in everyone}
        distances |= dict.fromkeys(agents, 0.0)
        for kind in self._kinds:
            await self._steered.push(distances, kind)
            await self._steered.move(Verb.PREFETCH, agents, Tier.DEVICE, kind)

    async def _demote(self, agents: list[int]) -> None:
        for kind in self._kinds:
            await self._steered.push(dict.fromkeys(agents, inf), kind)
            await self._steered.move(Verb.DEMOTE, agents, Tier.HOST, kind)

    async def _push(self, agents: list[int]) -> None:
        for kind in self._kinds:
            distances = {agent: self._rng.choice([0.0, 1.0, 1e9, inf]) for agent in agents}
            await self._steered.push(distances, kind)

    async def _pause(self) -> None:
        if self._rng.random() < 0.7:
            await asyncio.sleep(self._rng.uniform(0.0, _JITTER_S))

    def _some_agents(self, most: int) -> list[int]:
        return self._rng.sample(range(self._prompts.agents), self._rng.randint(1, most))

    def _idle_agents(self, most: int) -> list[int]:
        """Return agents of whom nothing is asked now, so that their state may be moved."""
        idle = [agent for agent in range(self._prompts.agents) if not self._asking[agent]]
        return self._rng.sample(idle, min(len(idle), self._rng.randint(1, most)))

    def _start(self, turn: str, *agents: int) -> None:
        for agent in agents:
            self._asking[agent] += 1
            view = self._rng.choice([view for who, view in self._peace.answers if who == agent])
            self._running.add(asyncio.create_task(self._ask(turn, agent, view)))

    async def _some(self) -> None:
        done, self._running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _ask(self, turn: str, agent: int, view: int) -> None:
        ids, more = self._prompts.ids(agent, view), self._prompts.more(agent)
        reply = await self._steered.ask(ids, self._prompts.output, agent, **ASKED, **more)
        self._asking[agent] -= 1
        held = self._steered.holds[PREFIX].get(agent)  # none before its first answer is told
        private = None if held is None else held._asdict()
        self._tally.judge(turn, agent, view, reply, private_bytes=private)

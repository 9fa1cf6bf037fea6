"""Worlds to try the driver with, and a model whose answer is its prompt's hash."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import scalesim
from scalesim.errors import OutOfReachError
from scalesim.headers import CachedTokens
from scalesim.me import Chat, Me, TextListener
from scalesim.simulations.chat_caller import Answer, ChatAnswer


class HashModel:
    """Answers with a hash of the prompt, after a delay that is drawn."""

    def __init__(self, delay_seed: int | None = None) -> None:
        self._delays = None if delay_seed is None else random.Random(delay_seed)
        self.calls = 0

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        self.calls += 1
        for _ in range(self._delays.choice([0, 0, 1, 3, 20]) if self._delays else 0):
            await asyncio.sleep(0)
        text = hashlib.sha256(repr((agent, messages)).encode()).hexdigest()[:8]
        if on_text is not None:
            on_text(text)
        answer = Answer(text, "", 0.0, 0.1, 0.2, CachedTokens(8, 0, 0, 0), 4, "r0")
        return ChatAnswer(answer, {"role": "assistant", "content": text}, {})

    async def close(self) -> None:
        pass


class _Talking(scalesim.World):
    """Everybody asks with all that it knows, and tells it to those it may."""

    def start(self, agent: str) -> dict[str, Any]:
        return {"said": ""}

    def hears(self, me: Me) -> list[str]:
        return [other.id for other in me.near()]

    async def act(self, me: Me, step: int) -> None:
        near = [(other.id, other.state["said"]) for other in me.near()]
        heard = [tuple(message) for message in me.inbox]
        if (near or heard) and me.random.random() < 0.8:
            me.state["said"] = await me.ask(f"{step} {me.state} {near} {heard}")
        for other in self.hears(me):
            if me.random.random() < 0.5:
                me.tell(other, me.state["said"])


class Walkers(_Talking):
    reach, speed = 2.0, 1.0

    def start(self, agent: str) -> dict[str, Any]:
        draw = random.Random(f"{self.seed}/{agent}")
        side = 1.5 * math.sqrt(self.count) + 2
        return {"said": "", "at": [draw.uniform(0, side), draw.uniform(0, side)]}

    def position(self, state: dict[str, Any]) -> tuple[float, float]:
        return (state["at"][0], state["at"][1])

    async def act(self, me: Me, step: int) -> None:
        await super().act(me, step)
        angle = me.random.uniform(0, 2 * math.pi)
        x, y = me.state["at"]
        me.state["at"] = [x + math.cos(angle), y + math.sin(angle)]


class Sleepers(Walkers):
    def next_turn(self, me: Me) -> int:
        return me.step + me.random.choice([1, 1, 2, 5])


class Posters(_Talking):
    """Everyone sees three others; what is told goes the other way."""

    def edges(self) -> list[tuple[str, str]]:
        draw = random.Random(self.seed)
        names = list(self.agents())
        return [(draw.choice(names), name) for name in names for _ in range(3)]

    def rate(self, me: Me, step: int) -> float:
        return 0.6

    def hears(self, me: Me) -> list[str]:
        return sorted({str(b) for a, b in self.edges() if a == me.id})


class Teams(_Talking):
    """Each agent follows up to two before it."""

    def depends_on(self, agent: str) -> list[str]:
        names = list(self.agents())
        row = names.index(agent)
        draw = random.Random(f"{self.seed}/{agent}")
        return [names[draw.randrange(row)] for _ in range(2)] if row % 5 else []

    def hears(self, me: Me) -> list[str]:
        return [str(name) for name in self.agents() if me.id in self.depends_on(str(name))]


class Mixed(Sleepers):
    """Some see or follow each other however far they are, and tell whom they may."""

    def edges(self) -> list[tuple[str, str]]:
        names = [str(name) for name in self.agents()]
        return [(names[row], names[row - 1]) for row in range(0, len(names), 4)]

    def depends_on(self, agent: str) -> list[str]:
        names = [str(name) for name in self.agents()]
        row = names.index(agent)
        return [names[row - 1]] if row % 4 == 2 else []

    async def act(self, me: Me, step: int) -> None:
        for other in me.near():
            with suppress(OutOfReachError):
                me.tell(other.id, f"{me.id} {step}")
        await super().act(me, step)

    def hears(self, me: Me) -> list[str]:
        return []


class Talk(_Talking):
    """One after the other, in another order in each step."""

    def order(self, step: int) -> list[str]:
        names = [str(name) for name in self.agents()]
        random.Random(f"{self.seed}/{step}").shuffle(names)
        return names[: len(names) - step % 2]


class Gathering(_Talking):
    """No structure: everyone sees everyone."""


ALL = (Walkers, Sleepers, Posters, Teams, Mixed, Talk, Gathering)

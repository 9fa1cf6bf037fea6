"""`town`: villagers walk between places and talk to those they meet (spatial)."""

from __future__ import annotations

import math
import random
from typing import Any

from scalesim import World
from scalesim.me import Me

TRADES = ("baker", "smith", "teacher", "doctor", "farmer", "painter", "fisher", "mayor")
TOPICS = ("the harvest", "the festival", "a lost dog", "the new bridge", "last night's storm")
FIRST = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ida", "Jon", "Kim", "Leo")
LENGTHS = (16, 16, 24, 24, 64)
"""Tokens of an answer, at most: now and then somebody talks long, and who is near waits."""


class Town(World):
    """Villagers who walk from place to place and speak when somebody new is within reach.

    Attributes:
        room: Side of the square that each villager has, on average, in the unit of `reach`: they
            meet now and then, as in Smallville.
    """

    reach = 3.0
    speed = 1.0
    room = 12.0

    def agents(self) -> list[str]:
        """See `World.agents`."""
        known = len(FIRST)
        return [
            FIRST[row] if row < known else f"{FIRST[row % known]}-{row}"
            for row in range(self.count)
        ]

    def start(self, agent: str) -> dict[str, Any]:
        """See `World.start`."""
        draw = random.Random(f"{self.seed}/{agent}")
        trade = draw.choice(TRADES)
        return {
            "trade": trade,
            "topic": draw.choice(TOPICS),
            "at": self._somewhere(draw),
            "goal": self._somewhere(draw),
            "met": [],
            "memory": [],
        }

    def position(self, state: dict[str, Any]) -> tuple[float, float]:
        """See `World.position`."""
        return (state["at"][0], state["at"][1])

    def public(self, state: dict[str, Any]) -> Any:
        """See `World.public`."""
        return {"trade": state["trade"]}

    async def act(self, me: Me, step: int) -> None:
        """See `World.act`."""
        state = me.state
        heard = [[message.sender, message.content] for message in me.inbox]
        state["memory"] = (state["memory"] + heard)[-6:]
        near = {other.id: other.state["trade"] for other in me.near()}
        new = [name for name in near if name not in state["met"]]
        state["met"] = [name for name in state["met"] if name in near] + new
        if new or heard:
            said = await me.ask(self.prompt(me, near), **self.parameters(me))
            if said:
                state["memory"].append([me.id, said])
            for name in near if said else ():
                me.tell(name, said)
        self._walk(me)

    def parameters(self, me: Me) -> dict[str, Any]:
        """Return what a call asks for besides its messages."""
        length = me.random.choice(LENGTHS)
        return {"max_tokens": length, "stop": ["\n"], "frequency_penalty": 0.8}

    def prompt(self, me: Me, near: dict[str, str]) -> list[dict[str, str]]:
        """Return the prompt of a villager: its own situation and who is near."""
        state = me.state
        persona = (
            f"You are {me.id}, the {state['trade']} of a small town, and you think about "
            f"{state['topic']}. You talk with your neighbours, in one short, friendly sentence."
        )
        company = " and ".join(f"{name} the {trade}" for name, trade in near.items()) or "a friend"
        greeting = f"Good day, {me.id}! It is {company}. What is on your mind?"
        talk = [("assistant" if who == me.id else "user", said) for who, said in state["memory"]]
        if not talk or talk[-1][0] == "assistant":
            talk.append(("user", greeting))
        spoken = [{"role": role, "content": said} for role, said in talk]
        return [{"role": "system", "content": persona}, *spoken]

    def _walk(self, me: Me) -> None:
        (x, y), (goal_x, goal_y) = me.state["at"], me.state["goal"]
        left = math.dist((x, y), (goal_x, goal_y))
        if left <= self.speed:
            me.state["at"], me.state["goal"] = [goal_x, goal_y], self._somewhere(me.random)
        else:
            share = self.speed / left
            me.state["at"] = [x + share * (goal_x - x), y + share * (goal_y - y)]

    def _somewhere(self, draw: random.Random) -> list[float]:
        side = self.room * math.sqrt(self.count)
        return [round(draw.uniform(0, side), 3), round(draw.uniform(0, side), 3)]

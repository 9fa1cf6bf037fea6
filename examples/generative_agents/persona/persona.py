"""A person of Generative Agents, as small as one can be: acts until its action ends, then plans.

In the repository this is `reverie/backend_server/persona/persona.py`, and far more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from openai import OpenAI

PERSONA = "You are {name}, a {trade} of a small town. You plan one thing at a time, in JSON. "
_PLAN = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "enum": ["bakery", "bridge", "school", "market"]},
        "minutes": {"type": "integer", "enum": [1, 2, 3]},
    },
    "required": ["place", "minutes"],
}
PLAN = {"type": "json_schema", "json_schema": {"name": "plan", "schema": _PLAN}}


class Scratch:
    """What a person does now, and for how many minutes."""

    act_start_time: datetime | None = None
    act_duration = 0
    chatting_with: str | None = None
    chatting_end_time: datetime | None = None


class Persona:
    """A person with a memory of places."""

    def __init__(self, name: str, trade: str) -> None:
        self.name, self.scratch = name, Scratch()
        self.places: list[str] = []
        self._client, self._about = OpenAI(), PERSONA.format(name=name, trade=trade) * 6

    def move(
        self, maze: Any, personas: Mapping[str, Persona], tile: Any, now: datetime
    ) -> tuple[str, int] | None:
        """Take a step; return the place and the minutes of a new plan, None without one."""
        begun = self.scratch.act_start_time
        if begun is not None and (now - begun).seconds < 60 * self.scratch.act_duration:
            return None
        return self.plan(self.retrieve(self.perceive(personas)), now)

    def perceive(self, personas: Mapping[str, Persona]) -> list[str]:
        """Return where the others are."""
        others = (one for one in personas.values() if one is not self and one.places)
        return [f"{one.name} is at the {one.places[-1]}." for one in others]

    def retrieve(self, perceived: list[str]) -> str:
        """Return what there is to be said of the day."""
        return " ".join([f"You were at: {', '.join(self.places) or 'home'}.", *perceived])

    def plan(self, said: str, now: datetime) -> tuple[str, int]:
        """Ask the model where to go, and for how long."""
        answer = self._client.chat.completions.create(
            model="scalesim",
            messages=[
                {"role": "system", "content": self._about},
                {"role": "user", "content": f"It is {now:%H:%M:%S}. {said} Where do you go?"},
            ],
            response_format=PLAN,
            max_tokens=96,
            temperature=0,
        )
        plan = json.loads(answer.choices[0].message.content or "")
        self.places.append(plan["place"])
        self.scratch.act_start_time, self.scratch.act_duration = now, plan["minutes"]
        return plan["place"], plan["minutes"]

"""mesa-llm: agents that answer in JSON, in parallel steps.

scalesim run -- python llm_town.py
"""

from __future__ import annotations

import json
import sys

import mesa
from mesa_llm.llm_agent import LLMAgent
from mesa_llm.parallel_stepping import enable_automatic_parallel_stepping
from mesa_llm.reasoning.cot import CoTReasoning

PERSONA = "You are citizen {number} of a small town. You answer in JSON. "
_PLACE = {"type": "string", "enum": ["bakery", "bridge", "school", "market"]}
_SCHEMA = {"type": "object", "properties": {"place": _PLACE}, "required": ["place"]}
PLAN = {"type": "json_schema", "json_schema": {"name": "plan", "schema": _SCHEMA}}


class Citizen(LLMAgent):
    """A citizen who asks its model what to do."""

    def __init__(self, model: mesa.Model) -> None:
        number = len(model.agents)
        super().__init__(
            model,
            CoTReasoning,
            llm_model="openai/scalesim",
            system_prompt=PERSONA.format(number=number) * 8,
        )

    async def astep(self) -> None:
        """Choose a place."""
        asked = f"It is day {self.model.steps}. Where do you go?"
        answer = await self.llm.agenerate(asked, response_format=PLAN)
        self.internal_state.append(json.loads(answer.choices[0].message.content)["place"])


class Town(mesa.Model):
    """A town whose citizens act at once."""

    def __init__(self, citizens: int) -> None:
        super().__init__(seed=0)
        self.parallel_stepping = True
        for _ in range(citizens):
            Citizen(self)

    def step(self) -> None:
        """Let everybody act once."""
        self.agents.shuffle_do("step")


if __name__ == "__main__":
    enable_automatic_parallel_stepping()
    town = Town(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 2):
        town.step()
    for citizen in town.agents:
        print(citizen.unique_id, *citizen.internal_state, sep=" | ")

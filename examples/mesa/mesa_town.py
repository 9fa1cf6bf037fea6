"""Mesa: citizens who ask the model for what they do next, in a new order every step.

scalesim run -- python mesa_town.py
"""

from __future__ import annotations

import sys

import mesa
from openai import OpenAI

PERSONA = "You are citizen {number} of a small town, a {trade}. {rules}"
TRADES = ("baker", "smith", "teacher", "nurse", "carpenter", "farmer")
RULES = "You answer in one short sentence, in the first person, and you never repeat yourself. " * 6


class Citizen(mesa.Agent):
    """One citizen with a diary."""

    def __init__(self, model: Town) -> None:
        super().__init__(model)
        trade = TRADES[self.unique_id % len(TRADES)]
        self.persona = PERSONA.format(number=self.unique_id, trade=trade, rules=RULES)
        self.diary: list[str] = []

    def step(self) -> None:
        """Decide what to do, knowing what was done before."""
        day = f"It is day {self.model.steps}. You did: {' '.join(self.diary) or 'nothing yet.'}"
        answer = self.model.client.chat.completions.create(
            model="scalesim",
            messages=[
                {"role": "system", "content": self.persona},
                {"role": "user", "content": f"{day} What do you do now?"},
            ],
            max_tokens=12,
            temperature=0,
        )
        self.diary.append(answer.choices[0].message.content or "")


class Town(mesa.Model):
    """A town of citizens."""

    def __init__(self, citizens: int, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.client = OpenAI()
        Citizen.create_agents(self, citizens)

    def step(self) -> None:
        """Let everybody act once, in a shuffled order."""
        self.agents.shuffle_do("step")


if __name__ == "__main__":
    town = Town(citizens=int(sys.argv[1]) if len(sys.argv) > 1 else 6)
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        town.step()
    for citizen in town.agents:
        print(citizen.unique_id, *citizen.diary, sep=" | ")

"""CAMEL: two pairs debate, one pair after the other; each debater has a memory of its own.

scalesim run -- python camel_debate.py
"""

from __future__ import annotations

import sys
from typing import Any

from camel.agents import ChatAgent
from camel.models import ModelFactory
from camel.societies import RolePlaying
from camel.types import ModelPlatformType
from camel.utils import BaseTokenCounter

PERSONA = "You are {name}, and you are {view}. You answer in one short sentence. "
PAIRS = [("Ann", "Bob"), ("Eve", "Joe")]
VIEWS = {"Ann": "for a new bridge", "Bob": "against it", "Eve": "for a ferry", "Joe": "undecided"}


class WordCounter(BaseTokenCounter):
    """Counts words: CAMEL's own counter fetches a vocabulary that is not this model's."""

    def count_tokens_from_messages(self, messages: list[Any]) -> int:
        """Return about how long messages are."""
        return sum(len(str(message.get("content")).split()) for message in messages)

    def encode(self, text: str) -> list[int]:
        """Return as many numbers as there are words."""
        return list(range(len(text.split())))

    def decode(self, token_ids: list[int]) -> str:
        """Return nothing: words are only counted."""
        return ""


def main(rounds: int) -> None:
    """Let each pair exchange a word once a round."""
    model = ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI,
        model_type="scalesim",
        token_counter=WordCounter(),
        model_config_dict={"max_completion_tokens": 12, "temperature": 0},
    )
    debaters = {
        name: ChatAgent(PERSONA.format(name=name, view=view) * 8, model=model, agent_id=name)
        for name, view in VIEWS.items()
    }
    debates = [
        RolePlaying(
            answers,
            asks,
            with_task_specify=False,
            assistant_agent=debaters[answers],
            user_agent=debaters[asks],
        )
        for asks, answers in PAIRS
    ]
    said = [debate.init_chat("Shall we build a bridge?") for debate in debates]
    for _ in range(rounds):
        for place, (debate, pair) in enumerate(zip(debates, PAIRS, strict=True)):
            answered, asked = debate.step(said[place])
            for name, response in zip(pair, (asked, answered), strict=True):
                print(f"{name}: {response.msg.content}")
            said[place] = answered.msg


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)

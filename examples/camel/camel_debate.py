"""CAMEL: agents that take turns in a debate, each with its own memory.

scalesim run -- python camel_debate.py
"""

from __future__ import annotations

import sys
from typing import Any

from camel.agents import ChatAgent
from camel.models import ModelFactory
from camel.types import ModelPlatformType
from camel.utils import BaseTokenCounter

PERSONA = "You are {name}, and you are {view}. You answer in one short sentence. "
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
    """Let all speak once a round, in their order."""
    model = ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI,
        model_type="scalesim",
        token_counter=WordCounter(),
        model_config_dict={"max_completion_tokens": 12, "temperature": 0},
    )
    speakers = {
        name: ChatAgent(PERSONA.format(name=name, view=view) * 8, model=model, agent_id=name)
        for name, view in VIEWS.items()
    }
    said = "Shall we build a bridge?"
    for _ in range(rounds):
        for name, speaker in speakers.items():
            said = f"{name}: {speaker.step(said).msgs[0].content}"
            print(said)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)

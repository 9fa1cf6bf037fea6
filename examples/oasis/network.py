"""OASIS: users of a social network who read and post; who acts in a step is drawn at random.

scalesim run -- python network.py
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import oasis
from camel.models import ModelFactory
from camel.types import ModelPlatformType
from camel.utils import BaseTokenCounter
from oasis import ActionType, AgentGraph, LLMAction, ManualAction, SocialAgent, UserInfo

ABOUT = "{name} lives in a small town, likes {likes}, and writes short posts about it. "
PERSON = {"gender": "female", "age": 40, "mbti": "INTP", "country": "Norway"}
LIKES = ("bread", "chess", "rivers", "trains", "birds", "bridges", "gardens", "songs")


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


async def main(users: int, steps: int) -> None:
    """Let half of the users act in each step."""
    model = ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI,
        model_type="scalesim",
        token_counter=WordCounter(),
        model_config_dict={"max_completion_tokens": 16, "temperature": 0},
    )
    graph = AgentGraph()
    for number in range(users):
        name = f"user{number}"
        about = ABOUT.format(name=name, likes=LIKES[number % len(LIKES)]) * 6
        graph.add_agent(
            SocialAgent(
                agent_id=number,
                user_info=UserInfo(
                    user_name=name,
                    name=name,
                    description=about,
                    profile={"other_info": {"user_profile": about, **PERSON}},
                    recsys_type="reddit",
                ),
                agent_graph=graph,
                model=model,
                available_actions=[ActionType.CREATE_POST, ActionType.DO_NOTHING],
            )
        )
    random.seed(0)  # feeds draw from it too
    with tempfile.TemporaryDirectory() as folder:
        env = oasis.make(
            agent_graph=graph,
            platform=oasis.DefaultPlatformType.REDDIT,
            database_path=str(Path(folder) / "network.db"),
            semaphore=2,
        )
        await env.reset()
        first = ManualAction(ActionType.CREATE_POST, {"content": "Shall we build a bridge?"})
        await env.step({env.agent_graph.get_agent(0): first})
        for _ in range(steps):
            active = random.sample(range(users), max(users // 2, 1))
            await env.step({env.agent_graph.get_agent(n): LLMAction() for n in active})
        await env.close()
    print(f"{users} users took {steps} steps")


if __name__ == "__main__":
    asyncio.run(
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else 6,
            int(sys.argv[2]) if len(sys.argv) > 2 else 3,
        )
    )

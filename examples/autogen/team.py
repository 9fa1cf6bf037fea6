"""AutoGen: a team that takes turns.

scalesim run -- python team.py
"""

from __future__ import annotations

import asyncio
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

PERSONA = "You are {name}, a {trade}. You answer in one short sentence. "
TRADES = {"ann": "baker", "bob": "smith", "eve": "teacher", "joe": "nurse"}


async def main(rounds: int) -> None:
    """Let all speak once a round."""
    model = OpenAIChatCompletionClient(
        model="scalesim",
        max_tokens=12,
        temperature=0,
        model_info={
            "vision": False,
            "function_calling": True,
            "json_output": True,
            "family": "unknown",
            "structured_output": True,
        },
    )
    members = [
        AssistantAgent(name, model, system_message=PERSONA.format(name=name, trade=trade) * 8)
        for name, trade in TRADES.items()
    ]
    ends = MaxMessageTermination(1 + rounds * len(members))
    team = RoundRobinGroupChat(members, termination_condition=ends)
    result = await team.run(task="Shall we build a bridge?")
    for message in result.messages:
        print(f"{message.source}: {message.content}")
    await model.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))

"""AgentScope: three agents who pass a sentence on, each remembering what it said.

scalesim run -- python chain.py
"""

from __future__ import annotations

import asyncio
import os
import sys

from agentscope.agent import Agent
from agentscope.credential import OpenAICredential
from agentscope.message import UserMsg
from agentscope.model import OpenAIChatModel

PERSONA = "You are {name}, a {trade}. You answer in one short sentence. "
TRADES = {"ann": "baker", "bob": "smith", "eve": "teacher"}


async def main(rounds: int) -> None:
    """Let all speak once a round, in their order."""
    model = OpenAIChatModel(
        OpenAICredential(
            api_key=os.environ["OPENAI_API_KEY"], base_url=os.environ["OPENAI_BASE_URL"]
        ),
        model="scalesim",
        parameters=OpenAIChatModel.Parameters(max_tokens=12),
        stream=False,
    )
    agents = [
        Agent(name, PERSONA.format(name=name, trade=trade) * 8, model)
        for name, trade in TRADES.items()
    ]
    said = UserMsg("user", "Shall we build a bridge?")
    for _ in range(rounds):
        for agent in agents:
            answer = await agent.reply(said)
            said = UserMsg(agent.name, answer.get_text_content() or "...")
            print(f"{agent.name}: {answer.get_text_content()}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))

"""AgentScope: pairs of a writer and an editor, who judges what was written.

scalesim run -- python goals.py
"""

from __future__ import annotations

import asyncio
import os
import sys

from agentscope.agent import Agent, ReActConfig
from agentscope.credential import OpenAICredential
from agentscope.event import ReplyStartEvent
from agentscope.message import UserMsg
from agentscope.model import OpenAIChatModel
from agentscope.pipeline import GoalPipeline

PERSONA = "You are {name}, a {trade} of a small newspaper. You answer in one short sentence. "
PAIRS = (("ann", "bob"), ("eve", "joe"), ("kim", "lea"))
AT_ONCE = ReActConfig(max_iters=0)
"""A report is asked for at once: a small model does not see by itself that it is time."""


async def main(goals: int) -> None:
    """Give each pair its goals, one pair after the other."""
    model = OpenAIChatModel(
        OpenAICredential(
            api_key=os.environ["OPENAI_API_KEY"], base_url=os.environ["OPENAI_BASE_URL"]
        ),
        model="scalesim",
        parameters=OpenAIChatModel.Parameters(max_tokens=96, temperature=0),
    )

    def member(name: str, trade: str) -> Agent:
        return Agent(name, PERSONA.format(name=name, trade=trade) * 8, model, react_config=AT_ONCE)

    pairs = [
        GoalPipeline(member(writer, "writer"), member(editor, "editor"), max_iters=1)
        for writer, editor in PAIRS
    ]
    for number in range(goals):
        for pair in pairs:
            goal = UserMsg("user", f"Write one sentence for page {number + 1}.")
            async for event in pair.reply_stream(goal):
                if isinstance(event, ReplyStartEvent):
                    print(f"{event.name} answers")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))

"""AgentSociety 2: people who share a common good, each in a task of Ray, and a router for all.

scalesim run -- python agent_society.py
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path

os.environ.setdefault("AGENTSOCIETY_LLM_MODEL", "openai/scalesim")
os.environ.setdefault("AGENTSOCIETY_LLM_REQUEST_TIMEOUT", "600")  # prompts are thousands of tokens

import ray
from agentsociety2.env import create_env_router_proxy
from agentsociety2.society import AgentSociety

TRADES = {"Ann": "baker", "Bob": "smith", "Eve": "teacher"}
SPACE = "PublicGoodsEnv"
"""Its router writes code when it is asked to; others' must, before the first step."""

BRIEF = {"max_react_turns": 2, "enable_memory": False, "enable_todo_list": False}
"""Else an agent asks up to ten times in a step, and its memory besides."""


async def main(steps: int) -> None:
    """Let all live through a few hours."""
    ray.init(address="local", num_cpus=4, include_dashboard=False)  # not whatever runs here already
    people = [
        {"id": number, "profile": {"name": name, "occupation": trade}, "config": BRIEF}
        for number, (name, trade) in enumerate(TRADES.items(), start=1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        router = await create_env_router_proxy([SPACE], {SPACE: {"num_agents": len(people)}})
        society = AgentSociety(
            agent_specs=people,
            agent_class_name="PersonAgent",
            env_router=router,
            start_t=datetime(2026, 3, 2, 8),
            run_dir=Path(folder),
            enable_replay=False,
        )
        await society.init()
        await society.run(num_steps=steps, tick=3600)
        print(f"{society.step_count} steps", society.token_stats)
        await society.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))

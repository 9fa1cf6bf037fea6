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
from agentsociety2.config.llm_dispatcher import build_client_for_role, init_dispatchers
from agentsociety2.env import EnvRouterProxy
from agentsociety2.env.env_router_actor import get_env_router_actor_class
from agentsociety2.society import AgentSociety

TRADES = {"Ann": "baker", "Bob": "smith", "Eve": "teacher"}
SPACE = "PublicGoodsEnv"
"""Its router writes code when it is asked to; others' must, before the first step."""

TRIES = {"max_llm_call_retry": 1}
"""Of the router, beside the first: else it asks up to eleven times for code that runs."""

BRIEF = {"max_react_turns": 2, "enable_memory": False, "enable_todo_list": False}
"""Else an agent asks up to ten times in a step, and its memory besides."""


async def environment(people: int) -> EnvRouterProxy:
    """Return what `create_env_router_proxy` does, of a router with fewer tries."""
    await init_dispatchers()
    clients = {role: build_client_for_role(role) for role in ("coder", "default")}
    actor = get_env_router_actor_class().remote(
        [SPACE], {SPACE: {"num_agents": people}}, None, TRIES, clients
    )
    return EnvRouterProxy(actor, env_module_types=[SPACE])


async def main(steps: int) -> None:
    """Let all live through a few hours."""
    ray.init(address="local", num_cpus=4, include_dashboard=False)  # not whatever runs here already
    people = [
        {
            "id": number,
            "profile": {"id": number, "name": name, "occupation": trade},  # its own is taken here
            "config": BRIEF,
        }
        for number, (name, trade) in enumerate(TRADES.items(), start=1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        society = AgentSociety(
            agent_specs=people,
            agent_class_name="PersonAgent",
            env_router=await environment(len(people)),
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

"""AgentSociety 2: people in a social space, each in a task of Ray, and a router that all wait for.

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

import ray
from agentsociety2.contrib.env import SimpleSocialSpace
from agentsociety2.env import CodeGenRouter
from agentsociety2.society import AgentSociety

TRADES = {"Ann": "baker", "Bob": "smith", "Eve": "teacher"}


async def main(steps: int) -> None:
    """Let all live through a few hours."""
    ray.init(address="local", num_cpus=2, include_dashboard=False)  # not whatever runs here already
    people = [
        {"id": number, "profile": {"name": name, "occupation": trade}, "config": {}}
        for number, (name, trade) in enumerate(TRADES.items(), start=1)
    ]
    names = [(person["id"], person["profile"]["name"]) for person in people]
    with tempfile.TemporaryDirectory() as folder:
        society = AgentSociety(
            agent_specs=people,
            agent_class_name="PersonAgent",
            env_router=CodeGenRouter(env_modules=[SimpleSocialSpace(agent_id_name_pairs=names)]),
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

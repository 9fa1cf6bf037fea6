"""`workflow`: teams that write reports together, in stages with joins (an acyclic graph)."""

from __future__ import annotations

import random
from typing import Any

from scalesim import World
from scalesim.me import Me

ROLES = ("planner", "researcher", "critic", "historian", "writer", "editor")
"""One of each in a team; the three in the middle work side by side, and the writer joins them."""

_FOLLOWS = {
    "researcher": ("planner",),
    "critic": ("planner",),
    "historian": ("planner",),
    "writer": ("researcher", "critic", "historian"),
    "editor": ("writer",),
}
_TASKS = {
    "planner": "Name one question that a short report on {topic} should answer.",
    "researcher": "Give one fact that helps to answer it.",
    "critic": "Name one doubt a reader may have.",
    "historian": "Tell in one sentence how this was seen in the past.",
    "writer": "Write two sentences that answer the question with these notes.",
    "editor": "Rewrite this as one clear sentence.",
}
TOPICS = ("bees", "tides", "bread", "bridges", "the moon", "glass", "rivers", "maps")


class Workflows(World):
    """Teams of six; in each step every team writes one report, from the plan to the last edit."""

    def agents(self) -> list[str]:
        """See `World.agents`."""
        return [f"team-{row // len(ROLES)}/{ROLES[row % len(ROLES)]}" for row in range(self.count)]

    def depends_on(self, agent: str) -> list[str]:
        """See `World.depends_on`."""
        team, role = agent.split("/")
        return [f"{team}/{other}" for other in _FOLLOWS.get(role, ())]

    def start(self, agent: str) -> dict[str, Any]:
        """See `World.start`."""
        return {"wrote": ""}

    async def act(self, me: Me, step: int) -> None:
        """See `World.act`."""
        team, role = me.id.split("/")
        topic = random.Random(f"{self.seed}/{team}/{step}").choice(TOPICS)
        notes = "\n".join(f"{o.id.split('/')[1]}: {o.state['wrote']}" for o in me.near())
        persona = f"You are the {role} of {team}, who write short reports. Be brief and plain."
        task = _TASKS[role].format(topic=topic)
        me.state["wrote"] = await me.ask(
            [
                {"role": "system", "content": persona},
                {"role": "user", "content": f"The report is on {topic}.\n{notes}\n{task}"},
            ],
            max_tokens=40,
        )

"""`feed`: posts spread to followers, who are active by the hour (diffusion over a graph)."""

from __future__ import annotations

import math
import random
from functools import cached_property
from typing import Any

from scalesim import World
from scalesim.me import Me

INTERESTS = ("football", "gardening", "space travel", "cooking", "old films", "bicycles")
FOLLOWED = 3


class Feed(World):
    """Users who post now and then, and answer what those they follow have posted.

    Each follows up to three users; who has been there longer is followed more.
    """

    def agents(self) -> list[str]:
        """See `World.agents`."""
        return [f"user-{row:0{len(str(self.count - 1))}}" for row in range(self.count)]

    def edges(self) -> list[tuple[str, str]]:
        """See `World.edges`: from who is followed to who follows."""
        return self._follows

    def rate(self, me: Me, step: int) -> float:
        """See `World.rate`: a step is an hour, and each user has its own best one."""
        apart = abs((step - me.state["best_hour"] + 12) % 24 - 12)
        return 0.05 + 0.6 * math.exp(-((apart / 4) ** 2))

    def start(self, agent: str) -> dict[str, Any]:
        """See `World.start`."""
        draw = random.Random(f"{self.seed}/{agent}")
        best = draw.randrange(24)
        return {"interest": draw.choice(INTERESTS), "best_hour": best, "post": "", "posted": 0}

    def public(self, state: dict[str, Any]) -> Any:
        """See `World.public`."""
        return {"post": state["post"], "posted": state["posted"]}

    async def act(self, me: Me, step: int) -> None:
        """See `World.act`."""
        read = sorted(
            (other.state["posted"], other.id, other.state["post"])
            for other in me.near()
            if other.state["post"] and step - other.state["posted"] <= 12
        )
        if not read and me.random.random() < 0.5:
            return
        timeline = "\n".join(f"{name} wrote: {post}" for _, name, post in read) or "(empty)"
        persona = (
            f"You are {me.id} on a social network. You love {me.state['interest']}. You write "
            "short posts of one sentence, without hashtags."
        )
        task = "Answer one of them" if read else f"Write a post about {me.state['interest']}"
        me.state["post"] = await me.ask(
            [
                {"role": "system", "content": persona},
                {"role": "user", "content": f"Your timeline:\n{timeline}\n{task}."},
            ],
            max_tokens=32,
        )
        me.state["posted"] = step

    @cached_property
    def _follows(self) -> list[tuple[str, str]]:
        draw, names = random.Random(self.seed), self.agents()
        return [
            (names[followed], name)
            for row, name in enumerate(names)
            for followed in {int(row * draw.random() ** 2) for _ in range(FOLLOWED)}
            if followed != row
        ]

"""`debate`: one after the other, led by a moderator whom everyone answers (a known order)."""

from __future__ import annotations

import random
from typing import Any

from scalesim import World
from scalesim.me import Me

MODERATOR = "moderator"
VIEWS = ("is for it", "is against it", "wants to try it for a year", "thinks of the cost first")
MOTION = "our town should close its main street to cars"
_REMEMBERED = 8


class Debate(World):
    """A moderator opens each round and speakers follow, in an order drawn for the round.

    The moderator is called in every round and stays on the device.
    """

    pinned = (MODERATOR,)

    def agents(self) -> list[str]:
        """See `World.agents`."""
        return [MODERATOR, *(f"speaker-{row}" for row in range(1, self.count))]

    def order(self, step: int) -> list[str]:
        """See `World.order`."""
        speakers = self.agents()[1:]
        random.Random(f"{self.seed}/{step}").shuffle(speakers)
        return [MODERATOR, *speakers]

    def start(self, agent: str) -> dict[str, Any]:
        """See `World.start`."""
        view = random.Random(f"{self.seed}/{agent}").choice(VIEWS)
        return {"view": "leads the debate" if agent == MODERATOR else view, "heard": []}

    def public(self, state: dict[str, Any]) -> Any:
        """See `World.public`: what is said is told, and nothing else shown."""
        return None

    async def act(self, me: Me, step: int) -> None:
        """See `World.act`."""
        heard = [f"{message.sender}: {message.content}" for message in me.inbox]
        me.state["heard"] = (me.state["heard"] + heard)[-_REMEMBERED:]
        persona = (
            f"You are {me.id} in a debate on whether {MOTION}. You are one who {me.state['view']}. "
            "You speak in one sentence."
        )
        task = "Open the next round with a question." if me.id == MODERATOR else "Answer."
        so_far = "\n".join(me.state["heard"]) or "(nobody has spoken)"
        said = await me.ask(
            [
                {"role": "system", "content": persona},
                {"role": "user", "content": f"Said so far:\n{so_far}\n{task}"},
            ],
            max_tokens=32,
        )
        for other in self.agents():
            if other != me.id:
                me.tell(other, said)

"""A town on the emulated GPU: its prompts, and one run of it."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.simulations.known_meetings import Meetings
from benchmarks.simulations.stepping import WordTown, hash_of, play
from benchmarks.simulations.unordered import UnorderedModel
from scalesim.deployments.random_model import WORDS
from scalesim.me import Me
from scalesim.settings import EmulationSettings
from scalesim.simulations.arm_run import Stepping
from scalesim.simulations.driver.asked_model import AskedModel
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.emulated.emulated_case import ARMS, EmulatedCase
from scalesim.simulations.emulated.emulated_stack import EmulatedStack
from scalesim.simulations.emulated.emulated_world import EmulatedWorld

GPU = "h100"
"""A quarter of a thousand agents fits in its memory."""

NAME = "town"
_NOW, _LONGEST, _HEARD = 24, 64, 8
_AT_ONCE = 8


class PrivateTown(WordTown):
    """The town with a long private prompt for each villager, and what it heard in it.

    Attributes:
        private: Words of each.
    """

    private = 1024

    def prompt(self, me: Me, near: dict[str, str]) -> list[dict[str, str]]:
        """Return the villager's own words, and 24 of the moment: of what it heard, and new ones."""
        heard = [" ".join(said.split()[:_HEARD]) for _, said in me.state["memory"][-2:]]
        now = " ".join(heard).split()
        drawn = np.random.default_rng([self.seed, hash_of(me.id), me.step])
        now += [f"w{word}" for word in drawn.integers(0, WORDS, _NOW - len(now))]
        return [
            {"role": "system", "content": self.own(me.id)},
            {"role": "user", "content": " ".join(now)},
        ]

    def own(self, name: str) -> str:
        """Return a villager's own words."""
        drawn = np.random.default_rng([self.seed, hash_of(name)])
        return " ".join(f"w{word}" for word in drawn.integers(0, WORDS, self.private))


class DenseTown(PrivateTown):
    """Everyone meets: they crowd in one square."""

    room = 1.0


class TownRun(NamedTuple):
    """One run of a town.

    Attributes:
        arm: Of the engine, as in `ARMS`.
        stepping: Who waits for whom.
        agents: How many.
        steps: How many.
        seed: Of the town.
        device_share: Of all agents' tokens, on the device.
        dense: Whether all meet.
        private: Tokens of each agent.
        slots: Most requests that the engine runs at once; 256 turns are under way.
        ordered: Whether calls say which step they belong to.
    """

    arm: str
    stepping: Stepping
    agents: int
    steps: int
    seed: int
    device_share: float = 0.25
    dense: bool = False
    private: int = 1024
    slots: int = 256
    ordered: bool = True

    def world(self) -> PrivateTown:
        """Return the town."""
        world = (DenseTown if self.dense else PrivateTown)(self.agents, self.seed)
        world.private = self.private
        return world


def run_town(run: TownRun, known: Meetings | None = None) -> dict[str, Any]:
    """Return the figures of one run, in seconds of the emulated GPU, and who met whom.

    Args:
        run: What to run.
        known: Meetings of an earlier run: it waits for these and for nobody else.
    """
    case = EmulatedCase(
        agents=run.agents,
        prefix=run.private,
        observation=_NOW,
        output=_LONGEST,
        device_share=run.device_share,
        concurrency=run.slots,
    )
    emulation = EmulationSettings.of(GPU, 1.0)
    world = run.world()
    with tempfile.TemporaryDirectory() as folder:
        stack = EmulatedStack(case, ARMS[run.arm], emulation, NAME, Path(folder))
        emulated = EmulatedWorld(stack, NAME)
        model = emulated.model if run.ordered else UnorderedModel(emulated.model)

        async def main() -> tuple[float, dict[str, Any]]:
            await _warm_up(emulated.model, world)
            begun = stack.clock.now()
            foresight = emulated.foresight(world)
            played = await play(
                model, world, run.steps, run.stepping, known, foresight, gather_s=0.0
            )
            return begun, played

        begun, played = emulated.run(main())
    answers = played["answers"]
    passes = [
        span
        for span in stack.timeline.of(begun, begun + played["busy_s"])
        if span.name.startswith(("prefill", "decode"))
    ]
    prompt = run.private * len(answers)
    ttft_s = [answer.ttft_s for answer in answers]
    return {
        "busy_s": round(played["busy_s"], 4),
        "at_once": round(played["at_once"], 2),
        "calls": played["calls"],
        "passes": len(passes),
        "in_passes_s": round(sum(span.end_s - span.begin_s for span in passes), 4),
        "ttft_s": {f"p{q}": round(float(np.percentile(ttft_s, q)), 4) for q in (50, 95)},
        "found": {
            tier: round(sum(min(getattr(a.cached, tier), run.private) for a in answers) / prompt, 3)
            for tier in ("device", "host")
        },
        "text": hashlib.sha256(repr(sorted(played["texts"].items())).encode()).hexdigest()[:16],
        "meetings": [[*turn, sorted(met)] for turn, met in played["meetings"].items()],
    }


def meetings_of(rows: list[Any]) -> Meetings:
    """Return meetings as `run_town` returned them."""
    return {(row, step): set(met) for row, step, met in rows}


async def _warm_up(model: AskedModel, world: PrivateTown) -> None:
    """Let every agent's own words be computed once."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask(row: int, name: str) -> None:
        async with free:
            own = [{"role": "system", "content": world.own(name)}]
            await model.chat(row, name, own, {"max_tokens": 1}, None)

    await asyncio.gather(*(ask(row, name) for row, name in enumerate(Roster(world).names)))

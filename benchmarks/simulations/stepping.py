"""A town on an engine: stepping out of order against the barrier, and against an oracle.

The oracle knows who really met whom, from the run with the barrier, and waits for nobody else.

Run: python -m benchmarks.simulations.stepping [engine | stub [SEEDS [AGENTS [STEPS]]]]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.results import write
from benchmarks.simulations.known_meetings import KnownMeetings, KnownState, Meetings, NotingPool
from benchmarks.simulations.stub_engine import StubEngine
from scalesim.deployments.random_model import WORDS, build
from scalesim.deployments.stack import Stack
from scalesim.me import Me
from scalesim.settings import EngineSettings, IngressSettings, StackSettings
from scalesim.simulations.arm_run import Stepping
from scalesim.simulations.chat_caller import Answer
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.asked_model import AskedModel, MakeModel, MakeServedModel
from scalesim.simulations.driver.drive import DriveOptions, conductor_of, drive
from scalesim.simulations.driver.forecast import Foresight
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import GATHER_S
from scalesim.simulations.driver.world_state import state_of
from scalesim.simulations.worlds.town import Town

LENGTHS = (4, 4, 8, 8, 8, 16, 16, 64)
"""Tokens that answers have, drawn call by call: most are short, and all wait for the long ones."""


MakeEngine = Callable[[str], MakeModel]
"""Returns what a run of that name asks."""


class WordTown(Town):
    """The town, in words of the random model, with answers of exact lengths."""

    def prompt(self, me: Me, near: dict[str, str]) -> list[dict[str, str]]:
        """Return forty words of the agent's own and eight of the moment."""
        words = np.random.default_rng([self.seed, hash_of(me.id)]).integers(0, WORDS, 40)
        now = np.random.default_rng([self.seed, hash_of(me.id), me.step]).integers(0, WORDS, 8)
        own, new = (" ".join(f"w{word}" for word in each) for each in (words, now))
        return [{"role": "system", "content": own}, {"role": "user", "content": new}]

    def parameters(self, me: Me) -> dict[str, Any]:
        """Return the length of the answer, exactly."""
        return {"max_tokens": me.random.choice(LENGTHS), "ignore_eos": True}


def hash_of(name: str) -> int:
    """Return a number of a name."""
    return zlib.crc32(name.encode())


async def play(
    model: AskedModel,
    world: Town,
    steps: int,
    stepping: Stepping,
    known: Meetings | None = None,
    foresight: Foresight | None = None,
    gather_s: float = GATHER_S,
) -> dict[str, Any]:
    """Return seconds, calls in flight on average, answers and meetings of one run.

    Args:
        model: What agents ask.
        world: The town.
        steps: How many.
        stepping: Who waits for whom, unless meetings are known.
        known: Whom each turn meets, of an earlier run.
        foresight: Reports distances.
        gather_s: See `LocalPool`.
    """
    options = DriveOptions(steps, stepping, concurrency=256)
    roster = Roster(world)
    runner = TurnRunner(world, model, "town", steps + 1)
    state = state_of(roster, world, runner)
    conductor = conductor_of(world, roster, state, options)
    if known is not None:
        state = KnownState(roster, world.reach, world.speed, state.agents)
        state.meetings = known
        conductor = KnownMeetings(conductor.step.copy(), steps + 1, known, state.space)
    answers: dict[tuple[int, int], list[Answer]] = {}

    def ended(step: int, turns: list[TakenTurn], seconds: float) -> None:
        answers.update(((t.row, t.step), [call.answer for call in t.calls]) for t in turns)

    def progressed(turns: list[TakenTurn]) -> None:
        if foresight is not None:
            foresight.took(turns, conductor.floor())
            foresight.report(conductor)

    pool = NotingPool(runner, gather_s)
    if foresight is not None:
        foresight.begin(state.agents, conductor)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await drive(conductor, state, pool, options, ended, progressed)
    seconds = loop.time() - begun
    await pool.close()
    made = [answer for of_turn in answers.values() for answer in of_turn]
    return {
        "busy_s": seconds,
        "at_once": sum(answer.latency_s for answer in made) / seconds,
        "calls": len(made),
        "answers": made,
        "texts": {turn: [answer.text for answer in said] for turn, said in answers.items()},
        "meetings": pool.meetings,
    }


def _served(row: int) -> str:
    return "scalesim"


@contextmanager
def engine() -> Iterator[MakeEngine]:
    """Start a stack with a real engine on this machine's processors."""
    with tempfile.TemporaryDirectory() as folder:
        settings = EngineSettings(
            model_path=str(build(Path(folder) / "model", size="tiny")),
            device="cpu",
            device_tokens=16384,
            max_running_requests=256,
            context_length=512,
        )
        with Stack(StackSettings(engine=settings, ingress=IngressSettings(port=0))) as stack:
            yield lambda name: MakeServedModel(stack.base_url, name, _served)


@contextmanager
def stub() -> Iterator[MakeEngine]:
    """Stand in for an engine."""
    yield lambda name: StubEngine


def main(kind: str, seeds: int, agents: int, steps: int) -> None:
    """Print a row for each seed and write JSON."""
    rows: list[dict[str, Any]] = []
    with {"engine": engine, "stub": stub}[kind]() as make:

        def run(seed: int, name: str, known: Meetings | None = None) -> dict[str, Any]:
            stepping: Stepping = "barrier" if name == "barrier" else "causal"
            world = WordTown(agents, seed)
            return asyncio.run(play(make(f"{name}-{seed}")(), world, steps, stepping, known))

        run(99, "causal")  # warms up
        for seed in range(seeds):
            base, ours = run(seed, "barrier"), run(seed, "causal")
            best = run(seed, "oracle", base["meetings"])
            named = {"barrier": base, "causal": ours, "oracle": best}
            rows.append(
                {
                    "seed": seed,
                    "calls": base["calls"],
                    "equal_text": base["texts"] == ours["texts"] == best["texts"],
                    **{f"{name}_busy_s": round(one["busy_s"], 3) for name, one in named.items()},
                    **{f"{name}_at_once": round(one["at_once"], 2) for name, one in named.items()},
                    "over_barrier": round(base["busy_s"] / ours["busy_s"], 3),
                    "of_oracle": round(best["busy_s"] / ours["busy_s"], 3),
                }
            )
            print(rows[-1], flush=True)
    medians = {
        name: float(np.median([row[name] for row in rows]))
        for name in ("over_barrier", "of_oracle")
    }
    Console().print(medians)
    figures = {"rows": rows, "medians": medians}
    write(f"simulations/stepping_{kind}", figures, agents=agents, steps=steps)


if __name__ == "__main__":
    kind, *numbers = [*sys.argv[1:], "engine"] if len(sys.argv) == 1 else sys.argv[1:]
    given = [int(number) for number in numbers]
    main(kind, *(given + [3, 100, 12][len(given) :]))

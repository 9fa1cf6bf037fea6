"""A town on a real engine: stepping out of order against the barrier, and against an oracle.

The oracle knows who really met whom, from the run with the barrier, and waits for nobody else.

Run: python -m benchmarks.simulations.stepping [SEEDS [AGENTS [STEPS]]]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from benchmarks.simulations.known_meetings import KnownMeetings, KnownState, Meetings, Noting
from scalesim.deployments.random_model import WORDS, build
from scalesim.deployments.stack import Stack
from scalesim.me import Me
from scalesim.settings import EngineSettings, IngressSettings, StackSettings
from scalesim.simulations.driver.asked_model import MakeModel, MakeServedModel
from scalesim.simulations.driver.drive import DriveOptions, Stepping, conductor_of, drive
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.world_state import state_of
from scalesim.simulations.worlds.town import Town

LENGTHS = (4, 4, 8, 8, 8, 16, 16, 64)
"""Tokens that an agent's answers have: most are short, and all wait for the long ones."""


class WordTown(Town):
    """The town, in words of the random model, with answers of exact lengths."""

    def prompt(self, me: Me, near: dict[str, str]) -> list[dict[str, str]]:
        """Return forty words of the agent's own and eight of the moment."""
        words = np.random.default_rng([self.seed, hash_of(me.id)]).integers(0, WORDS, 40)
        now = np.random.default_rng([self.seed, hash_of(me.id), me.step]).integers(0, WORDS, 8)
        own, new = (" ".join(f"w{word}" for word in each) for each in (words, now))
        return [{"role": "system", "content": own}, {"role": "user", "content": new}]

    def parameters(self, me: Me) -> dict[str, Any]:
        """Return the length of the agent's answers, exactly."""
        return {"max_tokens": LENGTHS[hash_of(me.id) % len(LENGTHS)], "ignore_eos": True}


def hash_of(name: str) -> int:
    """Return a number of a name."""
    return int(name.rsplit("-")[-1]) * 2654435761 % 2**32


async def play(
    make: MakeModel, world: Town, steps: int, stepping: Stepping, known: Meetings | None = None
) -> dict[str, Any]:
    """Return seconds, calls in flight on average, texts and meetings of one run."""
    options = DriveOptions(steps, stepping, concurrency=256)
    roster = Roster(world)
    runner = TurnRunner(world, make(), "town", steps + 1)
    state = state_of(roster, world, runner)
    conductor = conductor_of(world, roster, state, options)
    if known is not None:
        state = KnownState(roster, world.reach, world.speed, state.agents)
        state.meetings = known
        conductor = KnownMeetings(conductor.step.copy(), steps + 1, known, state.space)
    calls: dict[tuple[int, int], Any] = {}
    pool = Noting(runner)
    watch = lambda _, turns: calls.update(((t.row, t.step), t.calls) for t in turns)  # noqa: E731
    seconds = await drive(conductor, state, pool, options, watch)
    await pool.close()
    answers = [call.answer for made in calls.values() for call in made]
    return {
        "busy_s": seconds,
        "in_flight": sum(answer.latency_s for answer in answers) / seconds,
        "calls": len(answers),
        "texts": {turn: [call.answer.text for call in made] for turn, made in calls.items()},
        "meetings": pool.meetings,
    }


def _served(row: int) -> str:
    return "scalesim"


def main(seeds: int, agents: int, steps: int) -> None:
    """Print medians over seeds and write JSON."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        engine = EngineSettings(
            model_path=str(build(Path(folder) / "model", size="tiny")),
            device="cpu",
            device_tokens=16384,
            max_running_requests=256,
            context_length=512,
        )
        with Stack(StackSettings(engine=engine, ingress=IngressSettings(port=0))) as stack:

            def run(seed: int, name: str, known: Meetings | None = None) -> dict[str, Any]:
                stepping: Stepping = "barrier" if name == "barrier" else "causal"
                model = MakeServedModel(stack.base_url, f"{name}-{seed}", _served)
                world = WordTown(agents, seed)
                return asyncio.run(play(model, world, steps, stepping, known))

            run(99, "barrier")  # warms up
            for seed in range(seeds):
                base, ours = run(seed, "barrier"), run(seed, "causal")
                best = run(seed, "oracle", base["meetings"])
                assert base["texts"].keys() == ours["texts"].keys()
                rows.append(
                    {
                        "seed": seed,
                        "calls": base["calls"],
                        "equal_text": base["texts"] == ours["texts"] == best["texts"],
                        **{
                            f"{name}_{figure}": round(run[figure], 3)
                            for name, run in (("barrier", base), ("causal", ours), ("oracle", best))
                            for figure in ("busy_s", "in_flight")
                        },
                        "over_barrier": round(base["busy_s"] / ours["busy_s"], 3),
                        "of_oracle": round(best["busy_s"] / ours["busy_s"], 3),
                    }
                )
                Console().print(rows[-1])
    table = Table("seed", *list(rows[0])[1:])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=200).print(table)
    write("simulations/stepping", rows, agents=agents, steps=steps)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [3, 100, 12][len(given) :]))

"""Ten thousand villagers with a stub in place of the model: what the driver itself costs.

One process, no Ray and no engine: the real World, conductor, state and journal.

Run: python -m benchmarks.simulations.many_agents [AGENTS [STEPS]]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.results import write
from scalesim.headers import CachedTokens
from scalesim.simulations.chat_caller import Answer, ChatAnswer
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_run import WorldRun, run_world
from scalesim.simulations.worlds.town import Town

_SAID = ChatAnswer(Answer("Good day!", "", 0.0, 0.0, 0.0, CachedTokens(100), 8, "stub"), {}, {})


class StubModel:
    """Answers at once, always the same."""

    async def chat(self, *_: object) -> ChatAnswer:
        """Return the answer."""
        return _SAID

    async def close(self) -> None:
        """Nothing is held."""


def main(agents: int, steps: int) -> None:
    """Print turns per second, memory an agent and seconds of a checkpoint; write JSON."""
    world = Town(agents, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        run = WorldRun(world, DriveOptions(steps, concurrency=1024), "town", Path(folder))
        pool = lambda: LocalPool(TurnRunner(world, StubModel(), "town", steps + 1))  # noqa: E731
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun, cpu = time.monotonic(), time.process_time()
        done = asyncio.run(run_world(run, StubModel, pool, None, lambda *_: None))
        wall, cpu = time.monotonic() - begun, time.process_time() - cpu
        kept = sum(file.stat().st_size for file in Path(folder).iterdir())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    figures: dict[str, Any] = {
        "agents": agents,
        "steps": steps,
        "turns_per_cpu_s": round(agents * steps / cpu),
        "turns_per_s": round(agents * steps / wall),
        "calls": len(done.calls.texts),
        "memory_bytes_per_agent": round(1024 * memory / agents),
        "checkpoint_bytes_per_agent": round(kept / agents),
    }
    Console().print(figures)
    write("simulations/many_agents", figures)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [10_000, 5][len(given) :]))

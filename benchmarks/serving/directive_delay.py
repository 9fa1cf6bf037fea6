"""Time from a directive sent to its effect reported, on an idle engine and on a busy one.

The effect of a demote is GPU memory freed, of a prefetch the prefix back on the device. The peer
is the engine's own forward pass in the same run: a busy scheduler acts between two of them.

Run: python -m benchmarks.serving.directive_delay
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.results import write
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.deployments.random_model import build
from scalesim.settings import EngineSettings
from scalesim.vocabulary import PREFIX, Tier, Verb

ROUNDS = 100
AGENT, OTHER = 1, 2


def prompt(agent: int) -> list[int]:
    """Return token ids of a prompt of its own."""
    return [*np.random.default_rng(agent).integers(3, 1000, 256).tolist(), *range(10, 26)]


async def effects_s(engine: DrivenEngine) -> list[float]:
    """Demote and prefetch one agent in turn; return the seconds each took to show."""
    await engine.push({AGENT: 0.0})
    taken = []
    for turn in range(ROUNDS):
        away = turn % 2 == 0
        sent = time.perf_counter()
        verb, tier = (Verb.DEMOTE, Tier.HOST) if away else (Verb.PREFETCH, Tier.DEVICE)
        await engine.move(verb, [AGENT], tier)
        await engine.until(_found(engine, away))
        taken.append(time.perf_counter() - sent)
        await engine.until(lambda: not engine.holds[PREFIX][AGENT].in_use)
    return taken


def _found(engine: DrivenEngine, away: bool) -> Callable[[], bool]:
    return lambda: (engine.holds[PREFIX][AGENT].device == 0) is away


async def pass_s(engine: DrivenEngine) -> float:
    """Return the seconds one decode pass of a running request takes."""
    started = time.perf_counter()
    await engine.ask(prompt(OTHER), 100, OTHER)
    return (time.perf_counter() - started) / 100


async def measure() -> dict[str, float]:
    """Return milliseconds by name."""
    with tempfile.TemporaryDirectory() as folder:
        model = str(build(folder, size="tiny"))
        settings = EngineSettings(
            model_path=model, dtype="float32", device_tokens=4096, context_length=2048
        )
        host = EngineHost(settings)
        await host.start()
        engine = DrivenEngine(host)
        for agent in (AGENT, AGENT, OTHER, OTHER):
            await engine.ask(prompt(agent), 6, agent)
        idle = await effects_s(engine)
        forward = await pass_s(engine)
        load = [asyncio.ensure_future(engine.ask(prompt(OTHER), 1200, OTHER)) for _ in range(2)]
        await engine.until(lambda: engine.holds[PREFIX][OTHER].in_use)
        busy = await effects_s(engine)
        still_busy = not any(request.done() for request in load)
        await asyncio.gather(*load)
        await engine.stop()
        host.stop()
    assert still_busy, "the load ended before the measurement: ask for more tokens"
    figures = {"idle p50": np.median(idle), "idle p95": np.quantile(idle, 0.95)}
    figures |= {"busy p50": np.median(busy), "busy p95": np.quantile(busy, 0.95)}
    return {name: round(1e3 * float(s), 2) for name, s in (figures | {"pass": forward}).items()}


def main() -> None:
    """Print one table and write JSON."""
    figures = asyncio.run(measure())
    table = Table("directive to effect", "ms", title="CPU, tiny model, one engine")
    for name, milliseconds in figures.items():
        table.add_row(name, f"{milliseconds:.2f}")
    Console().print(table)
    write(
        "serving/directive_delay",
        figures | {"busy_p50_over_pass": figures["busy p50"] / figures["pass"]},
    )


if __name__ == "__main__":
    main()

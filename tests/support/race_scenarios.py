"""Requests beside copies under way, each in a fork of one engine: python -m ...scenarios FOLDER.

Prints what they found as JSON by name, and what the engine left behind.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.engine.integrity import check_integrity
from benchmarks.engine.player import settled, until
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.forks import in_fork
from scalesim.deployments.engine.emulation.inline import InlineEngine, Script
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.deployments.engine.emulation.times import SetTimes
from scalesim.deployments.random_model import build
from scalesim.settings import EmulationSettings, EngineSettings
from scalesim.vocabulary import PREFIX, Tier, Verb

COPY_S = 0.1
"""Of each layer: a hundred passes."""

_SHARED = Path("/dev/shm")


def words(seed: int, count: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(3, 1000, count).tolist()
    return drawn


SHARED = words(999, 512)


def prompt(agent: int, view: int = 0) -> list[int]:
    """All agents share the first 512 tokens; 256 are their own."""
    return [*SHARED, *words(agent, 256), *words(10_000 + view, 16)]


def answer(engine: InlineEngine, ids: list[int], key: int | None = None, **more: Any) -> Any:
    asked = engine.ask(ids, 8, key, **more)
    yield from until(lambda: asked.done, "a request")
    return asked


def expected(engine: InlineEngine, ids: list[int]) -> Any:
    """Return what a prompt answers where nothing of it is known."""
    asked = yield from answer(engine, ids, cache_salt="nobody else's")
    yield from settled(engine)
    yield from engine.flush()
    return asked.tokens


def known(engine: InlineEngine, *agents: int) -> Script:
    """Let agents be known, and their prefixes be in host memory only."""
    for agent in agents:
        for view in (1, 2):
            yield from answer(engine, prompt(agent, view), agent)
    yield from settled(engine)
    engine.push(dict.fromkeys(agents, inf), PREFIX)
    engine.move(Verb.DEMOTE, agents, Tier.HOST, PREFIX)
    # Others get the pages that were theirs.
    for other in range(20, 24):
        yield from answer(engine, words(other, 400), cache_salt=f"other {other}")
    yield from settled(engine)


def on_the_device(engine: InlineEngine, agent: int) -> int:
    return engine.holds[PREFIX][agent][0]


def fetch(engine: InlineEngine, *agents: int) -> Script:
    """Begin to load agents' prefixes, each for itself."""
    for agent in agents:
        engine.push({agent: 0.0}, PREFIX)
        engine.move(Verb.PREFETCH, [agent], Tier.DEVICE, PREFIX)
        for _ in range(3):
            yield


def _found(asked: EmulatedRequest, right: list[int]) -> dict[str, Any]:
    assert asked.meta is not None
    return {"equal": asked.tokens == right, "found": asked.meta["cached_tokens_details"]}


def shares_a_head(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """Agent 2 asks while the copy of agent 1's prefix, whose head it shares, is on its way."""
    right = yield from expected(engine, prompt(2))
    yield from known(engine, 1)
    yield from fetch(engine, 1)
    found |= _found((yield from answer(engine, prompt(2), 2)), right)


def asks_itself(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """An agent asks while the copy of its own prefix is on its way."""
    right = yield from expected(engine, prompt(1, 3))
    yield from known(engine, 1)
    yield from fetch(engine, 1)
    found |= _found((yield from answer(engine, prompt(1, 3), 1)), right)


def reads_too_early(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """The same, and nobody waits for the copy."""
    engine.scheduler.tree_cache.ready_to_load_host_cache = _never(engine)
    yield from asks_itself(engine, found)


def _never(engine: InlineEngine) -> Callable[[], int]:
    load = engine.scheduler.tree_cache.ready_to_load_host_cache

    def loaded() -> int:
        load()
        return -1

    return loaded


def slots_exhausted(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """Four transfers are wanted at once, then a request must load its prefix by itself."""
    right = yield from expected(engine, prompt(5, 3))
    yield from known(engine, 1, 2, 3, 4, 5)
    yield from fetch(engine, 1, 2, 3, 4)
    found |= _found((yield from answer(engine, prompt(5, 3), 5)), right)


def demoted_at_once(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """Prefixes are put out while they are loaded and while they are backed up."""
    right = yield from expected(engine, prompt(1, 3))
    yield from known(engine, 1, 2)
    yield from fetch(engine, 1, 2)
    asked = engine.ask(prompt(3), 8, 3)
    engine.move(Verb.DEMOTE, [1, 2, 3], Tier.HOST, PREFIX)
    yield from until(lambda: asked.done, "a request")
    engine.move(Verb.DEMOTE, [1, 2, 3], Tier.HOST, PREFIX)
    found |= _found((yield from answer(engine, prompt(1, 3), 1)), right)


def is_timed(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """A prefix is loaded while a request is computed: the link is busy with its layers alone."""
    yield from known(engine, 1)
    before = engine.transfers[PREFIX]
    asked = engine.ask(words(30, 400), 8, cache_salt="other 30")
    yield from fetch(engine, 1)
    yield from until(lambda: asked.done and on_the_device(engine, 1) > 0, "the load")
    yield from settled(engine)
    after = engine.transfers[PREFIX]
    found["loaded_s"] = after.loaded_s - before.loaded_s
    found["loaded_bytes"] = after.loaded_bytes - before.loaded_bytes
    found["prefix_bytes"] = engine.holds[PREFIX][1][0]


def takes_over(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """A prefix is to come in place of one whose request has just ended: its copy is written yet."""
    yield from known(engine, 1)
    yield from answer(engine, words(31, 2500), 2)
    engine.push({1: 0.0, 2: 9.0}, PREFIX)
    engine.move(Verb.PREFETCH, [1], Tier.DEVICE, PREFIX)
    yield from settled(engine)
    found["on_the_device"] = on_the_device(engine, 1)
    found["given_up"] = on_the_device(engine, 2)


def earliest_steps_first(engine: InlineEngine, found: dict[str, Any]) -> Script:
    """A simulation asks from its last step on, another one after its first request; two fit."""
    asked, others = {}, []
    for step in (5, 4, 3, 2, 1):
        more = {"cache_salt": "town", "priority": step}
        asked[step] = engine.ask(words(step, 1200), 8, step, **more)
        if not others:
            others.append(engine.ask(words(9, 1200), 8, 9, cache_salt="city"))
    yield from until(lambda: all(one.done for one in (*asked.values(), *others)), "six requests")
    found["first_s"] = [asked[step].first_s for step in range(1, 6)]
    found["other_s"] = others[0].first_s


SCENARIOS: dict[str, Callable[[InlineEngine, dict[str, Any]], Script]] = {
    one.__name__: one
    for one in (
        *(shares_a_head, asks_itself, reads_too_early, slots_exhausted, demoted_at_once),
        *(is_timed, takes_over, earliest_steps_first),
    )
}


def play(engine: InlineEngine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def script() -> Script:
        yield from SCENARIOS[name](engine, found)
        yield from settled(engine)

    engine.run(script())
    if name != "reads_too_early":
        check_integrity(engine.scheduler)
    return found


def main() -> None:
    import torch

    torch.set_num_threads(1)
    settings = EngineSettings(
        model_path=str(build(Path(sys.argv[1]) / "tiny", size="tiny")),
        dtype="float32",
        device_tokens=3072,
        host_ratio=4.0,
        context_length=3072,
        # The layout that the random turns of `benchmarks.engine` do not have.
        extra_args={"hicache_mem_layout": "layer_first", "hicache_io_backend": "direct"},
    )
    times = SetTimes(EmulationSettings(transfer_s=COPY_S, pass_s=0.002))
    tempfile.tempdir = str(Path(sys.argv[1]) / "temporary")
    Path(tempfile.tempdir).mkdir()
    engine = InlineEngine(settings, times, VirtualClock())
    left = [path.name for path in Path(tempfile.tempdir).iterdir()]
    maps = (Path(each.path) for each in psutil.Process().memory_maps())
    left += [path.name for path in maps if "sglang" in path.name and path.parent == _SHARED]
    found = {name: in_fork(lambda n=name: play(engine, n)) for name in SCENARIOS}  # type: ignore[misc]
    print(json.dumps({**found, "left": left}))


if __name__ == "__main__":
    main()

"""State moved while requests arrive: thousands of random interleavings, every output compared.

What every prompt answers is first asked of stock SGLang, one at a time. Then an engine with our
plugin answers the same prompts while state is moved under them: the turns of
`benchmarks.engine.interleavings`, of agents that share heads. A wrong token fails the part.

On a machine without a GPU the engine's copies take the time of an emulated device.

Run: python -m benchmarks.gpu.races [--small]
"""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.interleaving import Interleaving
from benchmarks.gpu.options import Options, main
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import measure_reference
from benchmarks.gpu.result_file import ResultFile
from scalesim.deployments.engine.boot import HAS_GPU
from scalesim.settings import EmulationSettings
from scalesim.simulations.workload import PromptSize

CAN_FAIL = 0.9
"""Share of prompts with one wrong page that must be seen for the check to count."""


class Race(NamedTuple):
    """One kind of race.

    Attributes:
        setup: Of both engines.
        turns: Interleavings.
        views: Prompts of each agent, which share its private part.
    """

    setup: Setup
    turns: int
    views: int = 2


# The copy of a prefix of `wide` takes longer than a forward pass: requests overtake it.
# SGLang's own kernels take no float32 on a GPU; float16 rounds eight times less than bfloat16.
_WIDE = Setup("wide", 32, PromptSize(1024, 16, 8), 0.4, dtype="float16", concurrency=8)
_TINY = Setup("tiny", 8, PromptSize(256, 16, 6), 0.4, dtype="float32", concurrency=4)
FULL = {
    "prefixes": Race(_WIDE, 4000),
    "adapters": Race(_WIDE._replace(adapters=12, distinct=True), 2000),
}
SMALL = {
    "prefixes": Race(_TINY, 150),
    "adapters": Race(_TINY._replace(adapters=4, distinct=True), 60),
}

EMULATED = EmulationSettings(transfer_s=0.02, pass_s=0.002)
"""Copies of a layer that take longer than a pass of the smallest model on a CPU."""


async def run(options: Options) -> bool:
    """Run the races wanted; return whether every output was right and the check could fail."""
    results = ResultFile("races", options.out, options.minutes)
    held = True
    for name, race in (SMALL if options.small else FULL).items():
        if options.wants(name) and results.room(name, 60.0):
            found = await _race(race, options, results)
            held &= found["wrong"] == 0 and found["wrong_pages_seen"] >= CAN_FAIL
            results.add(name, found)
            print({key: value for key, value in found.items() if key != "setup"})
    return held


async def _race(race: Race, options: Options, results: ResultFile) -> dict[str, Any]:
    setup = race.setup
    prompts = Prompts(setup, race.views, related=True)
    emulation = None if HAS_GPU else EMULATED
    async with engine(setup, "stock", options.scratch) as host:
        quiet = await measure_reference(host, prompts)
    async with engine(setup, "scalesim", options.scratch, emulation) as host:
        steered = DrivenEngine(host)
        try:
            outcome = await Interleaving(steered, prompts, quiet).run(
                race.turns, lambda: results.room("further turns", 15.0)
            )
        finally:
            await steered.stop()
    checks = {name: value for name, value in quiet._asdict().items() if name != "answers"}
    return {"setup": setup._asdict(), "emulated": not HAS_GPU, **checks, **outcome}


if __name__ == "__main__":
    main(run)

"""Six villagers of the World `town` say a few sentences, with a small real model: `make demo`."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scalesim.errors import ScaleSimError
from scalesim.settings import ClientSettings, EngineSettings, IngressSettings, StackSettings
from scalesim.simulation import Simulation
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.driver.asked_model import MakeModel, MakeServedModel
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.forecast import Forecast
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_files import load_world
from scalesim.simulations.driver.world_run import WorldRun, run_world

VILLAGERS, STEPS, SEED = 6, 10, 11
"""With this seed four of the villagers meet and say sixteen sentences."""

_NAME = "villagers"

Print = Callable[[str], object]


def talk(make_model: MakeModel, hints: Simulation | None, say: Print) -> int:
    """Run the World; returns how many sentences were said.

    Args:
        make_model: Makes what the villagers ask.
        hints: Where distances are reported; None where nobody takes them.
        say: Called with a line for each sentence, as soon as its step is over.
    """
    world = load_world("town", VILLAGERS, SEED)
    names = Roster(world).names

    def heard(step: int, calls: CallTable) -> None:
        for row, text in zip(calls.rows["agent"].tolist(), calls.texts, strict=True):
            say(f"  {names[row]}: {' '.join(text.split())}")

    def pool() -> LocalPool:
        return LocalPool(TurnRunner(world, make_model(), _NAME, STEPS + 1))

    with tempfile.TemporaryDirectory(prefix="scalesim-") as folder:
        run = WorldRun(world, DriveOptions(STEPS), _NAME, Path(folder))
        foresight = None if hints is None else Forecast(world, Roster(world), hints)
        ran = asyncio.run(run_world(run, make_model, pool, foresight, heard))
        return len(ran.calls.texts)


def main(say: Print = print) -> None:
    """Fetch the model where it is not kept yet, start a stack, and let them talk."""
    from scalesim.deployments import smollm2
    from scalesim.deployments.stack import Stack

    began = time.monotonic()
    try:
        model = str(smollm2.build())
        engine = EngineSettings(model_path=model, device_tokens=4096, context_length=2048)
        with Stack(StackSettings(engine=engine, ingress=IngressSettings(port=0))) as stack:
            say(f"Six villagers ({smollm2.NAME}, 135 million parameters) meet and talk:")
            client = ClientSettings(base_url=stack.base_url)
            served = MakeServedModel(stack.base_url, _NAME, lambda row: engine.served_model_name)
            said = talk(served, Simulation(_NAME, settings=client), say)
    except (ScaleSimError, OSError) as error:
        say(f"The villagers stay silent, the rest goes on without them: {error}")
        return
    say(f"{said} sentences, {time.monotonic() - began:.0f} s with the start of the stack.")


if __name__ == "__main__":
    main()

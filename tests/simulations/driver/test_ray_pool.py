"""Turns over real Ray workers: one that is killed is replaced, and the text is the same."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from scalesim.errors import UnavailableError
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.ray_pool import RayTurnPool, RayWorkers
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.driver_worlds import HashModel, Walkers

pytestmark = pytest.mark.ray

STEPS = 6


class Mortal(Walkers):
    """Its workers can be killed by a turn."""

    killer = ""

    async def act(self, me: object, step: int) -> None:
        await super().act(me, step)  # type: ignore[arg-type]
        if self.killer and self._takes_the_kill():
            os.kill(os.getpid(), signal.SIGKILL)

    def _takes_the_kill(self) -> bool:
        """Whether this turn is the one that removed the file: two workers may see it at once."""
        try:
            Path(self.killer).unlink()
        except FileNotFoundError:
            return False
        return True


def test_a_killed_worker_is_replaced_and_nothing_is_lost(ray_local: None, tmp_path: Path) -> None:
    base = Walkers(20, 1)
    options = DriveOptions(STEPS, None)

    def local() -> LocalPool:
        return LocalPool(TurnRunner(base, HashModel(), "test", STEPS + 1))

    whole = asyncio.run(
        run_world(
            WorldRun(base, options, "test", tmp_path / "whole"),
            HashModel,
            local,
            None,
            lambda *_: None,
        )
    )
    world = Mortal(20, 1)
    world.killer = str(tmp_path / "kill")
    kills: list[int] = []

    def watch(step: int, calls: CallTable) -> None:
        if step in (2, 4):
            Path(world.killer).touch()
            kills.append(step)

    workers = RayWorkers(world, HashModel, "test", STEPS + 1, workers=2)
    run = asyncio.run(
        run_world(
            WorldRun(world, options, "test", tmp_path / "killed"),
            HashModel,
            lambda: RayTurnPool(workers),
            None,
            watch,
        )
    )
    assert kills == [2, 4]
    assert not Path(world.killer).exists()
    assert run.calls.by_call() == whole.calls.by_call() != {}


class Deadly(Walkers):
    async def act(self, me: object, step: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_turn_that_kills_every_worker_ends_the_run(ray_local: None, tmp_path: Path) -> None:
    world = Deadly(2, 1)
    workers = RayWorkers(world, HashModel, "test", 2, workers=1)
    run = WorldRun(world, DriveOptions(1, None), "test", tmp_path)
    with pytest.raises(UnavailableError, match="in a row"):
        asyncio.run(run_world(run, HashModel, lambda: RayTurnPool(workers), None, lambda *_: None))

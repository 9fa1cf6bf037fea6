"""When agents act next, by what their World says: never, in an age, or some steps later."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

import scalesim
from scalesim.me import Me
from scalesim.simulations.arm_run import Run, WatchStep
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.driver_worlds import HashModel, Posters

STEPS = 6
PAUSE_S = 0.01


class LateRisers(scalesim.World):
    """Agents that act in step 1, and then when they are told to."""

    def __init__(self, then: float) -> None:
        super().__init__(2)
        self.then = then

    def next_turn(self, me: Me) -> float:
        return self.then if me.step == 1 else me.step + 1

    async def act(self, me: Me, step: int) -> None:
        await me.ask(f"{me.id} {step}")


def run(world: scalesim.World, folder: Path, watch: WatchStep = lambda *_: None) -> Run:
    def pool() -> LocalPool:
        return LocalPool(TurnRunner(world, HashModel(), "test", STEPS + 1))

    options = DriveOptions(STEPS, think_s=PAUSE_S)
    described = WorldRun(world, options, "test", folder)
    return asyncio.run(run_world(described, HashModel, pool, None, watch))


@pytest.mark.parametrize(
    ("then", "steps"),
    [(math.inf, [1]), (1e300, [1]), (2.0**63, [1]), (4.75, [1, 4, 5, 6]), (7.0, [1])],
)
def test_who_acts_late_or_never_is_kept_and_goes_on(
    tmp_path: Path, then: float, steps: list[int]
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    whole = run(LateRisers(then), tmp_path / "whole").calls
    assert sorted(set(whole.rows["step"].tolist())) == steps
    with pytest.raises(KeyboardInterrupt):
        run(LateRisers(then), tmp_path / "died", lambda step, _: dies() if step else None)
    assert run(LateRisers(then), tmp_path / "died").calls.by_call() == whole.by_call()


def test_pauses_are_those_that_there_were(tmp_path: Path) -> None:
    ran = run(LateRisers(5.0), tmp_path)
    assert ran.think_s == pytest.approx(3 * PAUSE_S)  # after steps 1, 5 and 6
    assert ran.busy_s == pytest.approx(ran.step_s.sum())


def test_there_is_no_pause_where_agents_run_ahead(tmp_path: Path) -> None:
    assert run(Posters(6, 1), tmp_path).think_s == 0.0

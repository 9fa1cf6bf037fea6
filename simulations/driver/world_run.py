"""One arm of a World: its agents over Ray workers, kept on disk, reported to the stack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.headers import CachedTokens
from scalesim.sender import Stats
from scalesim.simulations.arm_run import Run, WatchStep
from scalesim.simulations.call_table import CallRow, CallTable, calls_of
from scalesim.simulations.chat_caller import Answer
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.asked_model import AskedModel, MakeModel
from scalesim.simulations.driver.drive import DriveOptions, conductor_of, drive, stepping_of
from scalesim.simulations.driver.forecast import Foresight
from scalesim.simulations.driver.journal import Journal, SavedStep
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import TurnPool
from scalesim.simulations.driver.world_state import WorldState, state_of
from scalesim.world import World

WarmUp = Callable[[AskedModel, int], Awaitable[CallTable]]
"""Makes calls before the first step, outside of the clock, so many at once; returns them."""


class WorldRun(NamedTuple):
    """What to run, and where.

    Attributes:
        world: The World.
        options: How it is driven.
        simulation: Namespace of its agents.
        folder: Keeps the run; one that died there goes on.
        warm_up: Brings agents' memory into the engines, again where a run goes on.
    """

    world: World
    options: DriveOptions
    simulation: str
    folder: Path
    warm_up: WarmUp | None = None


async def run_world(
    run: WorldRun,
    model: MakeModel,
    make_pool: Callable[[], TurnPool],
    foresight: Foresight | None,
    watch: WatchStep,
) -> Run:
    """Run a World to its last step; returns what the steps did, resumed ones included.

    Args:
        run: What, how and where.
        model: Makes what the agents ask; used here before the first step only.
        make_pool: Makes who takes the turns.
        foresight: Reports distances, and is closed; None in arms without a controller.
        watch: Called with each step that everyone is past, and the calls that ended in it; first
            with step 0 and the calls of the warm-up.

    Raises:
        WorldError: A turn failed and the options say to stop, or the World cannot begin.
    """
    world, options = run.world, run.options
    if stepping_of(world, options.stepping) == "causal":  # it has no step's end to pause at
        options = options._replace(think_s=0.0)
    journal, roster = Journal(run.folder), Roster(world)
    state = await _state(run, roster, journal, model)
    done = journal.steps()
    conductor = conductor_of(world, roster, state, options)

    def ended(step: int, turns: list[TakenTurn], seconds: float) -> None:
        turns = [_with_failure(turn) for turn in turns]
        journal.save(step + 1, seconds, turns, state)
        done.append(SavedStep(step, seconds, [call for turn in turns for call in turn.calls]))
        watch(step, calls_of(done[-1].calls))

    def progressed(turns: Sequence[TakenTurn]) -> None:
        if foresight is not None:
            foresight.took(turns, conductor.floor())
            foresight.report(conductor)

    pool = make_pool()
    resumed_after = min(conductor.floor(), options.steps + 1) - 1
    hints = Stats()
    try:
        if foresight is not None:
            foresight.begin(state.agents, conductor)
        begun = time.monotonic()
        warmup = await _warmed_up(run, model)
        warmup_s = time.monotonic() - begun
        watch(0, warmup)
        await drive(conductor, state, pool, options, ended, progressed)
    finally:
        await pool.close()
        journal.close()
        if foresight is not None:
            hints = await asyncio.to_thread(foresight.close)
    calls, step_s = _steps(done, options.steps)
    acted = {saved.step for saved in done}  # there is no pause for steps in which nobody acts
    think_s = len(acted) * options.think_s
    wall_s = float(step_s.sum()) + think_s
    return Run(warmup, warmup_s, calls, step_s, wall_s, think_s, hints, resumed_after)


async def _warmed_up(run: WorldRun, make_model: MakeModel) -> CallTable:
    if run.warm_up is None:
        return calls_of([])
    model = make_model()
    try:
        return await run.warm_up(model, run.options.concurrency)
    finally:
        await model.close()


async def _state(run: WorldRun, roster: Roster, journal: Journal, model: MakeModel) -> WorldState:
    """Return the agents as the run left them, or before their first step."""
    kept = journal.agents()
    if kept is None:
        runner = TurnRunner(run.world, model(), run.simulation, run.options.steps + 1)
        state = state_of(roster, run.world, runner)
        await runner.close()
        journal.write(state)
        return state
    state = WorldState(roster, run.world.reach, run.world.speed, kept)
    for saved in journal.turns():
        for turn in saved.turns:
            state.took(turn, saved.floor)
    state.place_all()
    return state


def _steps(done: list[SavedStep], steps: int) -> tuple[CallTable, NDArray[np.float64]]:
    """Return all calls in order, and the seconds of each step."""
    calls = {(c.row, c.step, c.call): c for saved in done for c in saved.calls}
    step_s = np.zeros(steps)
    for saved in done:
        step_s[min(saved.step, steps) - 1] += saved.seconds
    return calls_of(sorted(calls.values(), key=lambda c: (c.step, c.row, c.call))), step_s


def _with_failure(turn: TakenTurn) -> TakenTurn:
    """Return the turn with its failure among its calls, where no call tells it."""
    if not turn.error or any(call.answer.error for call in turn.calls):
        return turn
    none: dict[str, Any] = {"text": "", "output_tokens": 0, "replica": ""}
    nan, cached = float("nan"), CachedTokens()
    failed = Answer(
        error=turn.error, start_s=time.monotonic(), ttft_s=nan, latency_s=0.0, cached=cached, **none
    )
    number = max((call.call for call in turn.calls), default=-1) + 1
    row = CallRow(turn.step, turn.row, number, failed)
    return turn._replace(calls=(*turn.calls, row))

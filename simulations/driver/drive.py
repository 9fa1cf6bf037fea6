"""The driver's loop: turns that may begin go to the pool, what came of them to the conductor."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scalesim.errors import WorldError
from scalesim.policies.planning import Rows
from scalesim.policies.stepping import Barrier, Causal, Conductor, Dependencies
from scalesim.simulations.arm_run import OnError, Stepping
from scalesim.simulations.driver.agent_turns import TakenTurn, step_of
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.turn_pool import TurnPool
from scalesim.simulations.driver.world_state import WorldState
from scalesim.world import World

WatchTurns = Callable[[int, list[TakenTurn], float], None]
"""Called with a step that everyone is past, in order of steps, the turns taken since, and the
seconds since the call before, without pauses."""


class DriveOptions(NamedTuple):
    """How a World is driven.

    Attributes:
        steps: How many.
        stepping: `causal` lets agents go on as soon as nobody behind them can reach them; None does
            where the World says who can.
        concurrency: Turns under way at once.
        on_error: What a turn that fails does to the run.
        think_s: Pause after each step; with barriers only.
    """

    steps: int
    stepping: Stepping | None = None
    concurrency: int = 64
    on_error: OnError = "stop"
    think_s: float = 0.0


def stepping_of(world: World, wanted: Stepping | None) -> Stepping:
    """Return how a World steps: out of order where it says who can have an effect on whom.

    Raises:
        WorldError: `causal` is wanted of a World that does not.
    """
    if world.knows("order"):
        if wanted == "causal":
            raise WorldError("with `order` agents act one after the other: use --stepping barrier")
        return "barrier"
    foreseen = any(map(world.knows, ("position", "edges", "depends_on")))
    if wanted == "causal" and not foreseen:
        raise WorldError(
            f"{type(world).__name__} does not say who can have an effect on whom: give it "
            "`position`, `edges` or `depends_on`, or use --stepping barrier"
        )
    return wanted or ("causal" if foreseen else "barrier")


def conductor_of(
    world: World, roster: Roster, state: WorldState, options: DriveOptions
) -> Conductor:
    """Return the conductor of a World whose agents stand as they do."""
    step = np.array([agent.next_step for agent in state.agents], np.int64)
    end = options.steps + 1
    step = np.minimum(step, end)
    depends = Dependencies.make(len(roster), roster.seen, roster.parents)
    if stepping_of(world, options.stepping) == "causal":
        return Causal(
            step,
            end,
            space=state.space,
            reach=world.reach,
            speed=world.speed,
            depends=depends,
        )

    def ranks(step: int) -> Rows:
        places = roster.order(step)
        return np.array([places.get(row, 0) for row in range(len(roster))])

    depth = depends.depths()
    in_waves = ranks if roster.ordered else (lambda _: depth) if depth.any() else None
    return Barrier(step, end, in_waves, state.space)


async def drive(
    conductor: Conductor,
    state: WorldState,
    pool: TurnPool,
    options: DriveOptions,
    watch: WatchTurns,
    progressed: Callable[[list[TakenTurn]], None] = lambda turns: None,
) -> None:
    """Take every turn up to the last step.

    Of the turns that may begin the earliest go first.

    Args:
        conductor: Says who may go on.
        state: All agents.
        pool: Takes the turns.
        options: How to drive.
        watch: Called after each step that all are past.
        progressed: Called with turns as they end, once those they let begin at once have begun.

    Raises:
        WorldError: A turn failed, and `on_error` is `stop`.
    """
    end = options.steps + 1
    waiting: list[tuple[float, int]] = []
    since: list[TakenTurn] = []
    under_way = 0
    begun = time.monotonic()
    ready, floor = conductor.begin(), conductor.floor()
    ended: list[TakenTurn] = []
    while True:
        for row in ready.tolist():
            heapq.heappush(waiting, (state.agents[row].next_turn, row))
        free = min(options.concurrency - under_way, len(waiting))
        rows = np.array([heapq.heappop(waiting)[1] for _ in range(free)], np.int64)
        if free:
            await pool.give(state.turns(rows))
            under_way += free
        progressed(ended)
        if not under_way:
            return
        ended = sorted(await pool.taken(), key=lambda turn: (turn.step, turn.row))
        under_way -= len(ended)
        since += ended
        if options.on_error == "stop" and (failed := next((e for e in ended if e.error), None)):
            raise WorldError(failed.error)
        took = np.array([turn.row for turn in ended], np.int64)
        next_step = np.array([min(step_of(turn.next_turn), end) for turn in ended], np.int64)
        places = [turn.place or (np.nan, np.nan) for turn in ended]
        ready = conductor.done(took, next_step, np.array(places, np.float64))
        for turn in ended:
            state.took(turn, conductor.floor())
        if conductor.floor() > floor:
            floor, now = conductor.floor(), time.monotonic()
            watch(floor - 1, since, now - begun)
            since, begun = [], now
            if options.think_s and not under_way:
                progressed(ended)
                ended = []
                await asyncio.sleep(options.think_s)
                begun = time.monotonic()

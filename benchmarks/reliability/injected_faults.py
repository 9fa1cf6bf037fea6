"""What is done to a running stack, and what may be lost by it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

import psutil

from benchmarks.reliability import parts
from benchmarks.reliability.load import End
from scalesim.deployments.stack import Stack

PAUSE_S = 5.0
"""How long parts are stopped that are not replaced meanwhile: others see a partition that long."""

DEAD_S, HUNG_S = 1.0, 25.0
"""Goals: how soon nothing is sent any more to a replica whose engine died, or hangs."""

SERVED_S = 3.0
"""Goal: how soon every agent is answered again after a death."""

REPLACED_S = 3.0
"""Goal: how soon a controller or a catalog that died is there again."""


class InjectedFault(NamedTuple):
    """What was done.

    Attributes:
        at: Monotonic time at which it was.
        victim: Process that another one must take the place of; None where it goes on itself.
    """

    at: float
    victim: psutil.Process | None = None


Inject = Callable[[Stack, random.Random], Coroutine[Any, Any, InjectedFault]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: What happens.
        inject: Makes it happen to one process of a part.
        healed_within_s: Goal: every agent is answered again after at most this, a pause included.
        may_lose: How requests may end for which more than an answer was needed.
        out_within_s: Goal: no request goes to the replica any more; None where none is hit.
        back_within_s: Goal: every part is there again; None: the time that its start takes.
    """

    name: str
    inject: Inject
    healed_within_s: float
    may_lose: frozenset[End] = frozenset({End.BROKEN})
    out_within_s: float | None = None
    back_within_s: float | None = None


def _kill(part: str, number: signal.Signals = signal.SIGKILL) -> Inject:
    async def inject(stack: Stack, rng: random.Random) -> InjectedFault:
        victim = rng.choice(parts.of(stack, part))
        parts.send(victim, number)
        return InjectedFault(time.monotonic(), victim)

    return inject


def _pause(part: str) -> Inject:
    async def inject(stack: Stack, rng: random.Random) -> InjectedFault:
        with parts.stopped([rng.choice(parts.of(stack, part))]):
            at = time.monotonic()
            await asyncio.sleep(PAUSE_S)
        return InjectedFault(at)

    return inject


def _cut_off(part: str) -> Inject:
    """Return what breaks every connection of a part, and every one that is made instead."""

    async def inject(stack: Stack, rng: random.Random) -> InjectedFault:
        victim, at = rng.choice(parts.of(stack, part)), time.monotonic()
        while time.monotonic() < at + PAUSE_S:
            await asyncio.to_thread(parts.cut_connections, victim)
            await asyncio.sleep(_CUT_EVERY_S)
        return InjectedFault(at)

    return inject


_CUT_EVERY_S = 0.05
_CUT = frozenset({End.BROKEN, End.CUT})
_PAUSED_S = PAUSE_S + SERVED_S


async def _nothing(stack: Stack, rng: random.Random) -> InjectedFault:
    """Leave the stack as it is."""
    return InjectedFault(time.monotonic())


def _engine(name: str, inject: Inject, out_within_s: float) -> Fault:
    return Fault(name, inject, max(SERVED_S, out_within_s), out_within_s=out_within_s)


FAULTS = (
    Fault("nothing", _nothing, SERVED_S, frozenset()),
    _engine("engine killed", _kill("scheduler"), DEAD_S),
    _engine("engine crashes", _kill("scheduler", signal.SIGSEGV), DEAD_S),
    _engine("engine stopped for good", _kill("scheduler", signal.SIGSTOP), HUNG_S),
    _engine("detokenizer killed", _kill("detokenizer"), DEAD_S),
    _engine("replica killed", _kill("replica"), DEAD_S),
    _engine("replica stopped for good", _kill("replica", signal.SIGSTOP), HUNG_S),
    Fault("replica stopped for 5 s", _pause("replica"), _PAUSED_S),
    Fault("ingress killed", _kill("ingress"), SERVED_S, _CUT),
    Fault("ingress stopped for 5 s", _pause("ingress"), _PAUSED_S),
    Fault("controller killed", _kill("controller"), SERVED_S, back_within_s=REPLACED_S),
    Fault("controller stopped for 5 s", _pause("controller"), _PAUSED_S),
    *(
        [
            Fault("controller cut off for 5 s", _cut_off("controller"), _PAUSED_S),
            Fault("replica cut off for 5 s", _cut_off("replica"), _PAUSED_S),
            Fault("ingress cut off for 5 s", _cut_off("ingress"), _PAUSED_S, _CUT),
        ]
        if parts.can_cut_connections()
        else []
    ),
    Fault("catalog killed", _kill("catalog"), SERVED_S, back_within_s=REPLACED_S),
    Fault("catalog stopped for 5 s", _pause("catalog"), _PAUSED_S),
)
"""Each part killed, stopped, and kept from the others for a while; and nothing, to compare with.

The goals add to those of the part the time that a busy request of 24 tokens takes on two cores.
"""


def named(name: str) -> Fault:
    """Return the fault of that name."""
    return next(fault for fault in FAULTS if fault.name == name)

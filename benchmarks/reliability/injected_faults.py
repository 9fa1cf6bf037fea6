"""What is done to a running stack, and what may be lost by it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks.reliability import parts
from benchmarks.reliability.load import End
from scalesim.deployments.stack import Stack

PAUSE_S = 5.0
"""How long parts are stopped that are not replaced meanwhile: others see a partition that long."""

Inject = Callable[[Stack, random.Random], Coroutine[Any, Any, psutil.Process | None]]
"""Returns the process that another one must take the place of; None where it goes on itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: What happens.
        inject: Makes it happen to one process of a part.
        healed_within_s: Goal: every agent is answered again after at most this, a pause included.
        may_lose: How requests may end for which more than an answer was needed.
    """

    name: str
    inject: Inject
    healed_within_s: float
    may_lose: frozenset[End] = frozenset({End.BROKEN})


def _kill(part: str, number: signal.Signals = signal.SIGKILL) -> Inject:
    async def inject(stack: Stack, rng: random.Random) -> psutil.Process:
        victim = rng.choice(parts.of(stack, part))
        parts.send(victim, number)
        return victim

    return inject


def _pause(part: str) -> Inject:
    async def inject(stack: Stack, rng: random.Random) -> None:
        with parts.stopped([rng.choice(parts.of(stack, part))]):
            await asyncio.sleep(PAUSE_S)

    return inject


_CUT = frozenset({End.BROKEN, End.CUT})


async def _nothing(stack: Stack, rng: random.Random) -> None:
    """Leave the stack as it is."""


FAULTS = (
    Fault("nothing", _nothing, 3.0, frozenset()),
    Fault("engine killed", _kill("scheduler"), 3.0),
    Fault("engine crashes", _kill("scheduler", signal.SIGSEGV), 3.0),
    Fault("engine stopped for good", _kill("scheduler", signal.SIGSTOP), 25.0),
    Fault("detokenizer killed", _kill("detokenizer"), 3.0),
    Fault("replica killed", _kill("replica"), 3.0),
    Fault("replica stopped for good", _kill("replica", signal.SIGSTOP), 25.0),
    Fault("replica stopped for 5 s", _pause("replica"), PAUSE_S + 3.0),
    Fault("ingress killed", _kill("ingress"), 3.0, _CUT),
    Fault("ingress stopped for 5 s", _pause("ingress"), PAUSE_S + 3.0),
    Fault("controller killed", _kill("controller"), 3.0),
    Fault("controller stopped for 5 s", _pause("controller"), PAUSE_S + 3.0),
    Fault("catalog killed", _kill("catalog"), 3.0),
    Fault("catalog stopped for 5 s", _pause("catalog"), PAUSE_S + 3.0),
)
"""Each part killed, stopped, and kept from the others for a while; and nothing, to compare with.

The goals add to those of the part the time that a busy request of 24 tokens takes on two cores.
"""


def named(name: str) -> Fault:
    """Return the fault of that name."""
    return next(fault for fault in FAULTS if fault.name == name)

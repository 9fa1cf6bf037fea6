"""Notices that an engine died or hangs, and whether one of its requests may be the cause."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from scalesim.deployments.engine.denied_time import DeniedTime

PROBE_S = 20.0
"""Longest the engine may stay silent while asked: longer than any single forward pass. Time in
which other programs had the processors does not count: it computes on them, and gives way."""

STARVED_S = 120.0
"""Longest it may stay silent whatever the processors do."""

_FIRST_S = 1.0
"""An engine that answers within this is not looked at any closer."""

PROBE_PERIOD_S = 2.0
"""Time between two probes. A silent engine is out of rotation after this and `PROBE_S`: 22 s."""

LOOK_S = 0.2
"""How often the processes are looked at: a dead engine is noticed within this."""

_FROM_OUTSIDE = frozenset(
    -number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
)
"""Exit codes of processes that were ended from outside."""

_STOPPED = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})


class EngineFault(NamedTuple):
    """How an engine was lost.

    Attributes:
        reason: What happened, for people.
        by_request: Whether a request may be the cause: the engine crashed or hangs by itself.
        named: Ids of the engine's requests one of which is the cause; empty where not known.
    """

    reason: str
    by_request: bool
    named: frozenset[str] = frozenset()


class EngineWatch:
    """Looks after one engine's processes.

    Args:
        processes: `multiprocessing` processes by name.
        probe: Asks the engine for a token; returns whether it answered within that many seconds.
        last_words: File that a crashing scheduler writes its requests to.
        probed: Called with the seconds every probe took.
        denied: Begins to count for how long processes cannot run; see `DeniedTime`.
    """

    def __init__(
        self,
        processes: Mapping[str, Any],
        probe: Callable[[float], Awaitable[bool]],
        last_words: Path,
        probed: Callable[[float], None] = lambda _: None,
        denied: Callable[[Collection[int]], DeniedTime] = DeniedTime,
    ) -> None:
        self._processes = processes
        self._probe = probe
        self._last_words = last_words
        self._probed = probed
        self._denied = denied

    async def fault(self) -> EngineFault:
        """Return once the engine is lost."""
        async with asyncio.TaskGroup() as both:
            ended, silent = both.create_task(self._ended()), both.create_task(self._silent())
            done, _ = await asyncio.wait((ended, silent), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, silent):
                task.cancel()
        return done.pop().result()

    async def _ended(self) -> EngineFault:
        while True:
            if (named := self._named()) is not None:
                return EngineFault("its scheduler crashed", True, named)
            for name, process in self._processes.items():
                if not process.is_alive():
                    code = process.exitcode
                    named = self._named() or frozenset()
                    return EngineFault(f"its {name} ended ({_why(code)})", by_request(code), named)
            await asyncio.sleep(LOOK_S)

    async def _silent(self) -> EngineFault:
        while True:
            started = time.monotonic()
            fault = await self._silence()
            self._probed(time.monotonic() - started)
            if fault is not None:
                return fault
            await asyncio.sleep(PROBE_PERIOD_S)

    async def _silence(self) -> EngineFault | None:
        """Ask the engine; return None where it answers, else why it did not."""
        if await self._probe(_FIRST_S):
            return None
        pids = [process.pid for process in self._processes.values()]
        silent_s, left_s = _FIRST_S, PROBE_S - _FIRST_S
        while left_s > 0 and silent_s < STARVED_S:
            asked_s = max(left_s, _FIRST_S)
            denied = self._denied(pids)
            if await self._probe(asked_s):
                return None
            silent_s += asked_s
            left_s -= max(asked_s - denied.seconds(), 0.0)
        stopped = [name for name, process in self._processes.items() if _stopped(process)]
        why = f"{', '.join(stopped)} stopped" if stopped else "by itself"
        if left_s > 0:
            why = "other programs had the processors"
        return EngineFault(f"it was silent for {silent_s:.0f} s ({why})", why == "by itself")

    def _named(self) -> frozenset[str] | None:
        """Return the requests a crashing scheduler named; None where it left no report."""
        try:
            return frozenset(msgspec.json.decode(self._last_words.read_bytes(), type=list[str]))
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            return frozenset()


def by_request(exit_code: int) -> bool:
    """Return whether a process that ended so may have done it because of a request."""
    return exit_code not in _FROM_OUTSIDE


def _why(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def _stopped(process: Any) -> bool:
    try:
        return psutil.Process(process.pid).status() in _STOPPED
    except psutil.NoSuchProcess:
        return False

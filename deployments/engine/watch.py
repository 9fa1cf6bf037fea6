"""Notices that an engine died or hangs, and whether one of its requests may be the cause."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

PROBE_S = 20.0
"""Longest the engine may stay silent while asked: longer than any single forward pass."""

PROBE_PERIOD_S = 2.0
"""Between two probes. A silent engine is out of rotation after this and `PROBE_S`: 22 s."""

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
    """

    def __init__(
        self,
        processes: Mapping[str, Any],
        probe: Callable[[float], Awaitable[bool]],
        last_words: Path,
        probed: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._processes = processes
        self._probe = probe
        self._last_words = last_words
        self._probed = probed

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
            well = await self._probe(PROBE_S)
            self._probed(time.monotonic() - started)
            if not well:
                stopped = [name for name, process in self._processes.items() if _stopped(process)]
                why = f"{', '.join(stopped)} stopped" if stopped else "by itself"
                return EngineFault(f"it was silent for {PROBE_S:.0f} s ({why})", not stopped)
            await asyncio.sleep(PROBE_PERIOD_S)

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

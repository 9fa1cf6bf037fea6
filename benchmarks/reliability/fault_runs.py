"""Faults in a stack under load, one after the other: what each lost, and when it healed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import psutil

from benchmarks.reliability import parts
from benchmarks.reliability.injected_faults import Fault
from benchmarks.reliability.invariants import StackSnapshot, changed, in_engines, lost, snapshot
from benchmarks.reliability.load import End, Load
from benchmarks.reliability.onlookers import NewConnections, RotationLog, going_on
from scalesim.deployments.stack import Stack

BACK_S = 300.0
"""Longest that a part may take to be there again: an engine's start on a busy machine."""

ENDED_S = 1.0
"""How long after the last request nothing runs in any engine any more."""

_LOOK_S = 0.05
_SEARCH_S = 0.1
"""Time between two searches for parts, which take a processor tens of milliseconds each."""


@dataclass
class FaultOutcome:
    """What one fault did.

    Attributes:
        fault: Its name.
        served_s: Seconds until every agent was answered again.
        back_s: Seconds until every part was there again.
        out_s: Seconds until no request went to a replica that was hit; None where none was.
        failed_s: Seconds for which new connections failed.
        ends: Requests meanwhile, by how they ended.
        broken: What did not hold.
    """

    fault: str
    served_s: float
    back_s: float
    out_s: float | None = None
    failed_s: float = 0.0
    ends: Counter[End] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class FaultTrial:
    """A stack under faults.

    Args:
        stack: Running, nobody else asks it.
        key: Its API key.
        seed: Of what is hit.
    """

    def __init__(self, stack: Stack, key: str, seed: int = 0) -> None:
        self._stack = stack
        self._rng = random.Random(seed)
        self._load = Load(stack.base_url, key)
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30.0)
        self._before: StackSnapshot | None = None
        self._in_engines = ""

    async def prepare(self) -> None:
        """Learn what is right while nothing disturbs it."""
        await self._until(self._is_whole, BACK_S)
        await self._load.undisturbed()
        self._before = await asyncio.to_thread(snapshot, self._stack)

    async def inject(self, fault: Fault) -> FaultOutcome:
        """Do one thing to the stack under load, and return what came of it.

        Raises:
            TimeoutError: A part is still away from the fault before.
        """
        assert self._before is not None
        if not await self._until(self._is_whole, BACK_S):
            raise TimeoutError(f"a part is still away after {BACK_S:.0f} s")
        connections = NewConnections(self._stack.base_url)
        rotation = RotationLog(self._http, self._stack.settings.replicas)
        async with self._load.running() as tally, going_on(connections.make, rotation.look):
            await self._until(self._holds(lambda: tally.all_served_since(0.0)), BACK_S)
            hit = await fault.inject(self._stack, self._rng)
            served = self._holds(lambda: tally.all_served_since(hit.at))
            served_s, back_s = await asyncio.gather(
                self._took(hit.at, served, _LOOK_S),
                self._took(hit.at, lambda: self._is_whole_without(hit.victim), _SEARCH_S),
            )
        out_s = rotation.out_s(hit.at) if fault.out_within_s is not None else None
        broken = lost(tally, fault.may_lose)
        if served_s > BACK_S:
            broken.append(f"an agent was not answered within {BACK_S:.0f} s")
        if back_s > BACK_S:
            broken.append(f"a part was not back after {BACK_S:.0f} s")
        if fault.out_within_s is not None and out_s is None:
            broken.append("it was never seen out of rotation")
        if not await self._until(self._is_idle, ENDED_S):
            broken.append(f"requests run on in the engines: {self._in_engines}")
        # A part that was cut off may end once it is not any more, and be replaced.
        await self._until(self._is_whole, BACK_S)
        broken += changed(self._before, await asyncio.to_thread(snapshot, self._stack))
        return FaultOutcome(
            fault.name, served_s, back_s, out_s, connections.failed_s(hit.at), tally.ends, broken
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._load.close()
        await self._http.aclose()

    async def _is_whole(self) -> bool:
        """Return whether every part runs and the controller knows of it."""
        running = await asyncio.to_thread(parts.all_of, self._stack)
        found = {part: len(running[part]) for part in _WHOLE}
        settings = self._stack.settings
        wanted = settings.replicas
        several = {
            **dict.fromkeys(("replica", "scheduler", "detokenizer"), wanted),
            "ingress": settings.ingress.processes,
        }
        if found != {part: several.get(part, 1) for part in _WHOLE}:
            return False
        try:
            status = (await self._http.get("/v1/status")).json()
        except (httpx.TransportError, ValueError):
            return False
        attached = sum(one["attached"] for one in status.get("replicas", {}).values())
        return bool(attached == wanted)

    async def _is_whole_without(self, victim: psutil.Process | None) -> bool:
        """Return the same, unless a process is still there that is to be replaced."""
        return (victim is None or not parts.runs(victim)) and await self._is_whole()

    async def _is_idle(self) -> bool:
        self._in_engines = "not known"
        with suppress(httpx.TransportError, ValueError, KeyError):
            self._in_engines = str(await in_engines(self._http))
        return self._in_engines == "0"

    def _holds(self, condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
        async def holds() -> bool:
            return condition()

        return holds

    async def _took(
        self, since: float, holds: Callable[[], Awaitable[bool]], look_s: float
    ) -> float:
        """Return after how many seconds it held; more than `BACK_S` where it did not."""
        await self._until(holds, BACK_S, look_s)
        return time.monotonic() - since

    async def _until(
        self, holds: Callable[[], Awaitable[bool]], within_s: float, look_s: float = _LOOK_S
    ) -> bool:
        """Return whether it holds within that time."""
        deadline = time.monotonic() + within_s
        while not await holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(look_s)
        return True


_WHOLE = ("ingress", "replica", "scheduler", "detokenizer", "controller", "catalog")
"""Parts that are replaced."""

"""A started engine moved by hand: directives without a controller, residency as it is reported."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu.engine_caller import Reply, ask, flush
from scalesim.controller.clock import next_incarnation
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.errors import EngineMismatchError
from scalesim.vocabulary import (
    PREFIX,
    Directives,
    DistanceUpdate,
    Moves,
    Residency,
    Tier,
    TransferStats,
    Verb,
)

DEADLINE_S = 60.0


class AgentBytes(NamedTuple):
    """Bytes of one agent's state in each tier, of all of it, and whether a request needs it."""

    device: int = 0
    host: int = 0
    storage: int = 0
    total: int = 0
    in_use: bool = False


class DrivenEngine:
    """The engine's scheduler at the end of our channel; make it in the engine's event loop.

    Args:
        host: A started engine of the `scalesim` arm, which nothing else steers any more: it obeys
            who came last.

    Attributes:
        bytes_per_token: Of its KV cache.
        holds: What it reported last, by kind and agent.
        transfers: Its counters, by kind.

    Raises:
        EngineMismatchError: It is of another arm.
    """

    def __init__(self, host: EngineHost) -> None:
        if host.steered is None:
            raise EngineMismatchError("the engine takes no directives: start it as `scalesim`")
        self._channel, hello = host.steered
        self._manager = host.engine.tokenizer_manager
        self.bytes_per_token = hello.bytes_per_token
        self.holds: dict[str, defaultdict[int, AgentBytes]] = {
            kind: defaultdict(AgentBytes) for kind in hello.kinds
        }
        self.transfers = {kind: TransferStats(kind) for kind in hello.kinds}
        self._came = asyncio.Event()
        self._incarnation = next_incarnation(time.time())
        self._sequence = 0
        self._reader = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Listen no more."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def ask(
        self, ids: list[int], output_tokens: int, key: int | None = None, **more: Any
    ) -> Reply:
        """Return the greedy answer to a prompt of agent `key`."""
        return await ask(self._manager, ids, output_tokens, key, **more)

    def take_back(self, rid: str) -> None:
        """Abort a request; one that is not there any more is ignored."""
        self._manager.abort_request(rid)

    async def flush(self) -> None:
        """Empty the engine's cache, once nothing runs."""
        await flush(self._manager)

    async def push(self, distances: Mapping[int, float], kind: str = PREFIX) -> None:
        """Send distances."""
        keys, values = np.array(list(distances), np.int64), np.array(list(distances.values()))
        near = DistanceUpdate(kind, keys, values.astype(np.float32))
        await self._send(Directives(self._incarnation, 0, distance_updates=(near,)))

    async def move(
        self, verb: Verb, keys: Iterable[int], tier: Tier = Tier.DEVICE, kind: str = PREFIX
    ) -> None:
        """Send one verb for some agents, in their order."""
        await self.moves(*((verb, key, tier) for key in keys), kind=kind)

    async def moves(self, *moves: tuple[Verb, int, Tier], kind: str = PREFIX) -> None:
        """Send moves that the engine takes over together."""
        verbs, agents, tiers = (np.array(column, np.int64) for column in zip(*moves, strict=True))
        batch = Moves(kind, verbs.astype(np.uint8), agents, tiers.astype(np.uint8))
        await self._send(Directives(self._incarnation, 0, moves=(batch,)))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for messages until `holds`.

        Raises:
            TimeoutError: It did not come true in a minute.
        """
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self._came.clear()
                await self._came.wait()

    async def _read(self) -> None:
        while True:
            message = await self._channel.receive()
            if isinstance(message, Residency):
                columns = (column.tolist() for column in message[1:])
                for key, *row in zip(*columns, strict=True):
                    self.holds[message.kind][key] = AgentBytes(*row)
            elif isinstance(message, TransferStats):
                self.transfers[message.kind] = message
            self._came.set()

    async def _send(self, directives: Directives) -> None:
        self._sequence += 1
        await self._channel.send(directives._replace(sequence=self._sequence))

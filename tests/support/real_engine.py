"""A real SGLang engine with our plugin, and the replica's end of its channel, in this process."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scalesim.deployments.engine.identity_envelope import hints
from scalesim.settings import EngineSettings
from scalesim.vocabulary import (
    ADAPTER,
    MODEL,
    PREFIX,
    TIERS,
    Directives,
    DistanceUpdate,
    Moves,
    Residency,
    Tier,
    TransferStats,
    Verb,
)

PREFIX_TOKENS = 256
DEADLINE_S = 30.0


class Answer(NamedTuple):
    tokens: list[int]
    device: int
    host: int
    storage: int


class State(NamedTuple):
    device: int
    host: int
    storage: int
    total: int
    in_use: bool


class RealEngine:
    """Agents are integers; agent k's private prefix is a seeded random sequence."""

    def __init__(self, model: str, device_tokens: int, **more: Any) -> None:
        self._settings = EngineSettings(
            model_path=model,
            dtype="float32",
            device_tokens=device_tokens,
            context_length=2048,
            **more,
        )
        kinds = (PREFIX, ADAPTER, MODEL)
        self.states: dict[str, dict[int, State]] = {kind: {} for kind in kinds}
        self.state = self.states[PREFIX]
        self.transfers: dict[str, TransferStats] = {kind: TransferStats(kind) for kind in kinds}
        self._news = asyncio.Event()
        self._sequence = 0

    async def start(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from scalesim.deployments.engine.engine_host import EngineHost

            self._host = EngineHost(self._settings)
            await self._host.start()
        assert self._host.steered is not None
        self._channel, hello = self._host.steered
        self.bytes_per_token = hello.bytes_per_token
        self.manager = self._host.engine.tokenizer_manager
        self._reader = asyncio.create_task(self._read())

    async def stop(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        with warnings.catch_warnings():
            # SGLang leaves its sockets to the garbage collector.
            warnings.simplefilter("ignore")
            self._host.stop()
            del self.manager
            gc.collect()

    async def _read(self) -> None:
        while True:
            message = await self._channel.receive()
            if isinstance(message, Residency):
                unit = self.bytes_per_token
                sizes = (size // unit for size in message[2:6])
                rows = (message.keys, *sizes, message.in_use)
                for key, *row in zip(*(column.tolist() for column in rows), strict=True):
                    self.states[message.kind][key] = State(*row)
            elif isinstance(message, TransferStats):
                self.transfers[message.kind] = message
            self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for news until `holds`."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def prompt(self, agent: int, length: int = PREFIX_TOKENS) -> list[int]:
        prefix = np.random.default_rng(agent).integers(3, 1000, length).tolist()
        return [*prefix, *range(10, 26)]

    async def ask(
        self,
        agent: int,
        *,
        length: int = PREFIX_TOKENS,
        tokens: int = 6,
        salt: str = "s",
        known: bool = True,
        **more: Any,
    ) -> Answer:
        from sglang.srt.managers.io_struct import GenerateReqInput

        request = GenerateReqInput(
            input_ids=self.prompt(agent, length),
            sampling_params={"max_new_tokens": tokens, "temperature": 0, "ignore_eos": True},
            cache_salt=salt,
            **{"kv_hints": hints(agent) if known else None, **more},
        )
        answer = await anext(self.manager.generate_request(request, None))
        found = answer["meta_info"]["cached_tokens_details"] or {}
        tiers = (found.get(tier, 0) for tier in TIERS)
        return Answer(answer["output_ids"], *tiers)

    async def store(self, agent: int) -> list[int]:
        """Ask an agent until its prefix is in storage, send it there, return what it answers."""
        await self.ask(agent)
        expected = (await self.ask(agent)).tokens
        await self.until(lambda: agent in self.state and self.state[agent].storage >= PREFIX_TOKENS)
        await self.move(Verb.DEMOTE, agent, tier=Tier.STORAGE)
        await self.until(lambda: not (self.state[agent].device or self.state[agent].host))
        assert self.state[agent].storage == self.state[agent].total >= PREFIX_TOKENS
        return expected

    async def lift(self, agent: int) -> Answer:
        """Bring an agent from storage to host memory, from there to the device, and ask it."""
        await self.push({agent: 1.0})
        await self.move(Verb.PREFETCH, agent, tier=Tier.HOST)
        await self.until(lambda: self.state[agent].host >= PREFIX_TOKENS)
        assert self.state[agent].device == 0
        await self.move(Verb.PREFETCH, agent, tier=Tier.DEVICE)
        await self.until(lambda: self.state[agent].device >= PREFIX_TOKENS)
        return await self.ask(agent)

    @property
    def transfer(self) -> TransferStats:
        return self.transfers[PREFIX]

    async def push(self, distances: dict[int, float], kind: str = PREFIX) -> None:
        keys, values = np.array(list(distances), np.int64), np.array(list(distances.values()))
        near = DistanceUpdate(kind, keys, values.astype(np.float32))
        await self._send(Directives(1, 0, distance_updates=(near,)))

    async def move(
        self, verb: Verb, *agents: int, tier: Tier = Tier.DEVICE, kind: str = PREFIX
    ) -> None:
        await self.moves(*((verb, agent, tier) for agent in agents), kind=kind)

    async def moves(self, *moves: tuple[Verb, int, Tier], kind: str = PREFIX) -> None:
        """Send moves that the engine takes over together."""
        verbs, agents, tiers = (np.array(column, np.int64) for column in zip(*moves, strict=True))
        batch = Moves(kind, verbs.astype(np.uint8), agents, tiers.astype(np.uint8))
        await self._send(Directives(1, 0, moves=(batch,)))

    async def _send(self, directives: Directives) -> None:
        self._sequence += 1
        await self._channel.send(directives._replace(sequence=self._sequence))

"""A real SGLang engine with our plugin in this process; its agents have prompts of their own."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.engine.driven_engine import AgentBytes, DrivenEngine
from scalesim.settings import EngineSettings
from scalesim.vocabulary import PREFIX, Tier, TransferStats, Verb

PREFIX_TOKENS = 256


class EngineAnswer(NamedTuple):
    tokens: list[int]
    device: int
    host: int
    storage: int


class PrefixState(NamedTuple):
    device: int
    host: int
    storage: int
    total: int
    in_use: bool


class _InTokens(Mapping[int, PrefixState]):
    """Residency by agent, as the engine reported it last."""

    def __init__(self, held: dict[int, AgentBytes], bytes_per_token: int) -> None:
        self._held = held
        self._unit = bytes_per_token

    def __getitem__(self, agent: int) -> PrefixState:
        if agent not in self._held:
            raise KeyError(agent)
        *sizes, in_use = self._held[agent]
        return PrefixState(*(size // self._unit for size in sizes), in_use)

    def __iter__(self) -> Iterator[int]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Forget what was reported so far."""
        self._held.clear()


_NOBODY = 2**62
"""An agent that no test has: what is ordered for it is refused."""


class RealEngine:
    """Agents are integers; agent k's private prefix is a seeded random sequence."""

    def __init__(self, model: str, device_tokens: int, **more: Any) -> None:
        self.engine_settings = EngineSettings(
            model_path=model,
            dtype="float32",
            device_tokens=device_tokens,
            context_length=2048,
            **more,
        )

    async def start(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from scalesim.deployments.engine.engine_host import EngineHost

            self.host = EngineHost(self.engine_settings)
            await self.host.start()
        self.manager = self.host.engine.tokenizer_manager
        self._driven = driven = DrivenEngine(self.host)
        self.states = {
            kind: _InTokens(held, driven.bytes_per_token) for kind, held in driven.holds.items()
        }
        self.state = self.states[PREFIX]
        self.transfers = driven.transfers

    async def stop(self) -> None:
        await self._driven.stop()
        with warnings.catch_warnings():
            # SGLang leaves its sockets to the garbage collector.
            warnings.simplefilter("ignore")
            self.host.stop()
            del self.manager, self._driven
            gc.collect()

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
    ) -> EngineAnswer:
        key = agent if known else None
        ids = self.prompt(agent, length)
        reply = await self._driven.ask(ids, tokens, key, cache_salt=salt, **more)
        return EngineAnswer(reply.tokens, reply.found.device, reply.found.host, reply.found.storage)

    async def store(self, agent: int) -> list[int]:
        """Ask an agent until its prefix is in storage, send it there, return what it answers."""
        await self.ask(agent)
        expected = (await self.ask(agent)).tokens
        await self.until(lambda: agent in self.state and self.state[agent].storage >= PREFIX_TOKENS)
        await self.move(Verb.DEMOTE, agent, tier=Tier.STORAGE)
        await self.until(lambda: not (self.state[agent].device or self.state[agent].host))
        assert self.state[agent].storage == self.state[agent].total >= PREFIX_TOKENS
        return expected

    async def lift(self, agent: int) -> EngineAnswer:
        """Bring an agent from storage to host memory, from there to the device, and ask it."""
        await self.push({agent: 1.0})
        await self.move(Verb.PREFETCH, agent, tier=Tier.HOST)
        await self.until(lambda: self.state[agent].host >= PREFIX_TOKENS)
        assert self.state[agent].device == 0
        await self.move(Verb.PREFETCH, agent, tier=Tier.DEVICE)
        await self.until(lambda: self.state[agent].device >= PREFIX_TOKENS)
        return await self.ask(agent)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for messages until `holds`."""
        await self._driven.until(holds)

    async def push(self, distances: Mapping[int, float], kind: str = PREFIX) -> None:
        """Send distances and wait until they are known: requests come by another socket."""
        await self._driven.push(distances, kind)
        refused = self.transfers[PREFIX].refused
        await self.move(Verb.DEMOTE, _NOBODY, tier=Tier.HOST)
        await self.until(lambda: self.transfers[PREFIX].refused > refused)

    async def moves(self, *moves: tuple[Verb, int, Tier], kind: str = PREFIX) -> None:
        """Send moves that the engine takes over together."""
        await self._driven.moves(*moves, kind=kind)

    @property
    def transfer(self) -> TransferStats:
        return self.transfers[PREFIX]

    async def move(
        self, verb: Verb, *agents: int, tier: Tier = Tier.DEVICE, kind: str = PREFIX
    ) -> None:
        await self._driven.move(verb, agents, tier, kind)

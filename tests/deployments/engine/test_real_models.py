"""Several models once more, in a real SGLang engine."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from scalesim.deployments.calls import Call
from scalesim.deployments.engine.identity_envelope import hints, salted
from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.deployments.engine.models.model_resolver import ModelResolver
from scalesim.deployments.random_model import build
from scalesim.errors import InvalidRequestError
from scalesim.settings import EngineSettings, ModelSettings
from scalesim.vocabulary import MODEL, Tier, Verb
from tests.support.real_engine import EngineAnswer, RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

MODELS = ("", "m1", "m2", "m3")
AGENTS = range(4)
NO_SIMULATION = 99
RIVALS = ((0, "m1"), (1, "m2"), (2, "m1"))
PLACES = 2
DEVICE_TOKENS = 8192


class ModelsEngine(RealEngine):
    """Agent k speaks through model k; host memory holds two of four."""

    def __init__(self, base: str, root: Path) -> None:
        size = sum(file.stat().st_size for file in Path(base).glob("*.safetensors"))
        models = ModelSettings(
            roots=(str(root),), host_bytes=PLACES * size + size // 2, turn_requests=4
        )
        super().__init__(base, DEVICE_TOKENS, models=models)
        engine = EngineSettings(model_path=base, models=models)
        self.choice = ModelResolver(engine)

    async def say(self, agent: int, model: str | None = None, **more: Any) -> EngineAnswer:
        name = MODELS[agent] if model is None else model
        identity = await self.identity_of(name or "scalesim")
        more.setdefault("kv_hints", hints(agent, model=identity))
        return await self.ask(agent, salt=salted("s", identity), **more)

    async def identity_of(self, model: str) -> str:
        return await self.choice.of(Call(NO_SIMULATION, "chat", {"model": model}, "s"))

    async def answers(self) -> bool:
        from scalesim.deployments.engine.probe import probe

        return await probe(self.host.engine, 20.0)

    def in_host(self) -> set[int]:
        return {agent for agent, state in self.states[MODEL].items() if state.host}

    def resident(self) -> set[int]:
        return {agent for agent, state in self.states[MODEL].items() if state.device}

    async def swaps(self) -> int:
        """Count them, after a directive whose refusal comes behind all that happened before it."""
        refused = self.transfers[MODEL].refused
        await self.move(Verb.PREFETCH, NO_SIMULATION, kind=MODEL)
        await self.until(lambda: self.transfers[MODEL].refused > refused)
        transfer = self.transfers[MODEL]
        return transfer.evicted_by_plan + transfer.evicted_by_pressure


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fine-tunes")
    for seed, name in enumerate(MODELS[1:], start=1):
        build(root / name, seed=seed, size="tiny")
    return root


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def alone(root: Path) -> dict[int, list[int]]:
    """What agents get from an engine that has `m1` alone."""
    engine = RealEngine(str(root / "m1"), DEVICE_TOKENS)
    await engine.start()
    answers = {agent: (await engine.ask(agent)).tokens for agent in AGENTS}
    await engine.stop()
    return answers


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def engine(
    tiny_model: str, root: Path, alone: dict[int, list[int]]
) -> AsyncIterator[ModelsEngine]:
    engine = ModelsEngine(tiny_model, root)
    await engine.start()
    yield engine
    await engine.stop()


async def test_tokens_are_those_of_an_engine_of_its_own(
    engine: ModelsEngine, alone: dict[int, list[int]]
) -> None:
    assert {agent: (await engine.say(agent, "m1")).tokens for agent in AGENTS} == alone
    other = {agent: (await engine.say(agent, "m2")).tokens for agent in AGENTS}
    assert all(other[agent] != alone[agent] for agent in AGENTS)
    assert {agent: (await engine.say(agent, "m1")).tokens for agent in AGENTS} == alone


async def test_caches_of_two_models_are_never_mixed(engine: ModelsEngine) -> None:
    first, again = [await engine.say(1, "m1") for _ in range(2)]
    assert again.device > 0
    other = await engine.say(1, "m3")
    assert (other.device, other.host, other.storage) == (0, 0, 0)
    own = await engine.say(1, "")
    assert (own.device, own.host, own.storage) == (0, 0, 0)
    assert len({tuple(answer.tokens) for answer in (first, other, own)}) == 3
    assert again.tokens == first.tokens == (await engine.say(1, "m1")).tokens


async def test_requests_of_four_models_come_in_any_order(engine: ModelsEngine) -> None:
    pairs = list(product(AGENTS, MODELS))
    expected = {pair: (await engine.say(*pair, tokens=3)).tokens for pair in pairs}
    calls = random.Random(7).choices(pairs, k=40)
    changes = sum(a[1] != b[1] for a, b in pairwise(calls))
    before = await engine.swaps()
    answers = await asyncio.gather(*(engine.say(*call, tokens=3) for call in calls))
    assert [answer.tokens for answer in answers] == [expected[call] for call in calls]
    assert 3 <= await engine.swaps() - before <= changes // 2


async def test_what_runs_ends_on_its_own_weights(engine: ModelsEngine) -> None:
    alone = [(await engine.say(agent, model, tokens=24)).tokens for agent, model in RIVALS]
    both = await asyncio.gather(*(engine.say(*rival, tokens=24) for rival in RIVALS))
    assert [answer.tokens for answer in both] == alone


async def test_a_model_that_cannot_be_loaded_fails_alone(engine: ModelsEngine, root: Path) -> None:
    expected = (await engine.say(1, "m1")).tokens
    shutil.copytree(root / "m2", root / "moved")
    identity = await engine.identity_of("moved")
    shutil.rmtree(root / "moved")
    failed, fine = await asyncio.gather(
        engine.say(2, "m2", kv_hints=hints(2, model=identity)),
        engine.say(1, "m1"),
        return_exceptions=True,
    )
    assert isinstance(failed, ValueError)
    assert "'moved' cannot be loaded" in str(failed)
    assert isinstance(fine, EngineAnswer)
    assert fine.tokens == expected
    build(root / "large", size="small")
    with pytest.raises(InvalidRequestError, match="head_dim"):
        await engine.say(1, "large")


async def test_half_of_a_model_is_never_used(engine: ModelsEngine, root: Path) -> None:
    expected = {model: (await engine.say(1, model)).tokens for model in MODELS}
    build(root / "large", size="small")
    identity = ModelRegistry(ModelSettings(roots=(str(root),))).find("large").identity
    answers = await asyncio.gather(
        engine.say(1, "m1"),
        engine.say(1, "", kv_hints=hints(1, model=identity)),  # past the check of its shape
        *(engine.say(1, model) for model in MODELS),
        return_exceptions=True,
    )
    assert isinstance(answers[1], Exception)
    tokens = [answer.tokens for answer in answers if isinstance(answer, EngineAnswer)]
    assert tokens == [expected["m1"], *expected.values()]
    assert await engine.answers()


async def test_distance_decides_who_is_in_host_memory_and_in_the_engine(
    engine: ModelsEngine,
) -> None:
    for agent in AGENTS:
        await engine.say(agent)
    await engine.push({0: 0.0, 1: 1.0, 2: 5.0, 3: 9.0}, MODEL)
    await engine.move(Verb.PREFETCH, 0, 1, tier=Tier.HOST, kind=MODEL)
    await engine.until(lambda: engine.in_host() == {0, 1})
    await engine.move(Verb.PREFETCH, 1, kind=MODEL)
    await engine.until(lambda: engine.resident() == {1})
    refused = engine.transfers[MODEL].refused
    await engine.move(Verb.PREFETCH, 2, tier=Tier.HOST, kind=MODEL)
    await engine.until(lambda: engine.transfers[MODEL].refused > refused)
    assert engine.in_host() == {0, 1}
    late = engine.transfers[MODEL].late
    await engine.say(1)
    await engine.until(lambda: engine.transfers[MODEL].used > 0)
    assert engine.transfers[MODEL].late == late
    await engine.move(Verb.DEMOTE, 0, tier=Tier.STORAGE, kind=MODEL)
    await engine.until(lambda: engine.in_host() == {1})

"""Several models once more, in a real SGLang engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deployments.engine.identity import hints, salted
from deployments.engine.models.choice import ModelChoice
from deployments.random_model import build
from scalesim.settings import EngineSettings, ModelSettings
from scalesim.vocabulary import MODEL
from tests.deployments.engine.real_engine import Answer, RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

MODELS = ("", "m1", "m2", "m3")
AGENTS = range(4)
PLACES = 2
DEVICE_TOKENS = 8192


class House(RealEngine):
    """Agent k speaks through model k; host memory holds two of four."""

    def __init__(self, base: str, root: Path) -> None:
        size = sum(file.stat().st_size for file in Path(base).glob("*.safetensors"))
        models = ModelSettings(
            roots=(str(root),), host_bytes=PLACES * size + size // 2, turn_requests=4
        )
        super().__init__(base, DEVICE_TOKENS, models=models)
        engine = EngineSettings(model_path=base, models=models)
        self.choice = ModelChoice(engine)

    async def say(self, agent: int, model: str | None = None, **more: Any) -> Answer:
        name = MODELS[agent] if model is None else model
        identity = await self.choice.named_by({"model": name or "scalesim"})
        more.setdefault("kv_hints", hints(agent, model=identity))
        return await self.ask(agent, salt=salted("s", identity), **more)

    def in_host(self) -> set[int]:
        return {agent for agent, state in self.states[MODEL].items() if state.host}

    def resident(self) -> set[int]:
        return {agent for agent, state in self.states[MODEL].items() if state.device}

    @property
    def swaps(self) -> int:
        flow = self.flows[MODEL]
        return flow.evicted_by_plan + flow.evicted_by_pressure


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
    told = {agent: (await engine.ask(agent)).tokens for agent in AGENTS}
    await engine.stop()
    return told


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def engine(tiny_model: str, root: Path, alone: dict[int, list[int]]) -> AsyncIterator[House]:
    engine = House(tiny_model, root)
    await engine.start()
    yield engine
    await engine.stop()


async def test_tokens_are_those_of_an_engine_of_its_own(
    engine: House, alone: dict[int, list[int]]
) -> None:
    assert {agent: (await engine.say(agent, "m1")).tokens for agent in AGENTS} == alone
    other = [(await engine.say(agent, "m2")).tokens for agent in AGENTS]
    assert all(other[agent] != alone[agent] for agent in AGENTS)

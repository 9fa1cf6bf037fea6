"""Adapters once more, in the slots of a real SGLang engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file, save_file

from scalesim.deployments.calls import Call
from scalesim.deployments.engine.adapter_registry import Adapter, AdapterRegistry
from scalesim.deployments.engine.assignments import Assignments
from scalesim.deployments.engine.models.model_resolver import ModelResolver
from scalesim.deployments.random_adapter import build
from scalesim.errors import InvalidRequestError, UnknownModelError
from scalesim.identity import agent_key
from scalesim.settings import AdapterSettings
from scalesim.vocabulary import ADAPTER, Tier, Verb
from tests.support.peft_adapters import HONOURED, answer, make
from tests.support.real_engine import EngineAnswer, RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

SLOTS = 2
AGENTS = range(4)
SPARE = ("farmer", "baker", "miller")
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class AdapterEngine(RealEngine):
    """Agent k speaks through adapter k."""

    def __init__(self, model: str, root: Path) -> None:
        for agent in AGENTS:
            build(root / f"a{agent}", model, seed=agent)
        for seed, name in enumerate(SPARE, start=len(AGENTS)):
            build(root / name, model, seed=seed)
        adapters = AdapterSettings(roots=(str(root),), slots=SLOTS, max_rank=8, modules=LINEAR)
        self.settings = adapters
        super().__init__(model, 8192, adapters=adapters)

    async def start(self) -> None:
        await super().start()
        from scalesim.deployments.engine.adapter_loader import AdapterLoader
        from scalesim.deployments.engine.openai_endpoints import OpenAIEndpoints

        registry = AdapterRegistry(self.settings)
        self.loader = AdapterLoader(self.manager, registry)
        choice = ModelResolver(self.engine_settings)
        self.endpoints = OpenAIEndpoints(self.host.engine, "replica", choice, registry)

    async def say(self, agent: int, adapter: str | None = None) -> EngineAnswer:
        call = Call(agent, "completions", {"model": f"scalesim:{adapter or f'a{agent}'}"}, "s")
        more: dict[str, Any] = {"lora_path": await self.loader.load(call)}
        return await self.ask(agent, **more)

    async def text(self, key: int, model: str) -> str:
        """Return what an agent is answered, over OpenAI's endpoint, when it names a model."""
        body = {"model": model, "prompt": self.prompt(0), "max_tokens": 6, "temperature": 0}
        _, answered = await anext(self.endpoints.answer(Call(key, "completions", body, "s")))
        return str(json.loads(answered)["choices"][0]["text"])

    def in_slots(self) -> set[int]:
        return {agent for agent, state in self.states[ADAPTER].items() if state.device}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def engine(tiny_model: str, root: Path) -> AsyncIterator[AdapterEngine]:
    engine = AdapterEngine(tiny_model, root)
    await engine.start()
    yield engine
    await engine.stop()


async def test_distance_decides_who_has_a_slot(engine: AdapterEngine) -> None:
    expected = {agent: (await engine.say(agent)).tokens for agent in AGENTS}
    assert len({tuple(tokens) for tokens in expected.values()}) == len(AGENTS)
    await engine.push({0: 0.0, 1: 1.0, 2: 5.0, 3: 9.0}, ADAPTER)
    await engine.move(Verb.PREFETCH, 0, 1, kind=ADAPTER)
    await engine.until(lambda: engine.in_slots() == {0, 1})
    late = engine.transfers[ADAPTER].late
    for agent in (0, 1):
        assert (await engine.say(agent)).tokens == expected[agent]
    await engine.until(lambda: engine.transfers[ADAPTER].used == 2)
    assert engine.transfers[ADAPTER].late == late

    await engine.say(2)
    await engine.until(lambda: engine.in_slots() == {0, 2})
    refused = engine.transfers[ADAPTER].refused
    await engine.move(Verb.PREFETCH, 3, kind=ADAPTER)
    await engine.until(lambda: engine.transfers[ADAPTER].refused > refused)
    await engine.move(Verb.DEMOTE, 2, tier=Tier.HOST, kind=ADAPTER)
    await engine.until(lambda: engine.in_slots() == {0})
    assert [(await engine.say(agent)).tokens for agent in AGENTS] == list(expected.values())


async def test_caches_of_two_adapters_are_never_mixed(engine: AdapterEngine) -> None:
    own = [(await engine.say(1)).tokens for _ in range(2)]
    other = await engine.say(1, "a2")
    assert (other.device, other.host) == (0, 0)
    assert own[0] == own[1] != other.tokens
    bare = await engine.ask(1)
    assert (bare.device, bare.host) == (0, 0)


async def test_an_agent_has_its_own_where_it_names_none(engine: AdapterEngine, root: Path) -> None:
    bob = agent_key("town", "bob")
    models = ("scalesim", "scalesim:farmer", "scalesim:baker")
    bare, farmer, baker = [await engine.text(bob, model) for model in models]
    assert len({bare, farmer, baker}) == 3
    Assignments(root).assign("farmer", ["town/bob"])
    assert await engine.text(bob, "scalesim") == farmer
    assert await engine.text(bob, "scalesim:baker") == baker
    assert await engine.text(agent_key("city", "bob"), "scalesim") == bare


async def test_what_was_registered_anew_never_answers_with_the_old_weights(
    engine: AdapterEngine, root: Path, tiny_model: str, tmp_path: Path
) -> None:
    registry, carol = AdapterRegistry(engine.settings), agent_key("town", "carol")
    for seed in (20, 21):
        build(tmp_path / str(seed), tiny_model, seed=seed)
    registry.add("singer", tmp_path / "20", ["town/carol"])
    old = await engine.text(carol, "scalesim")
    registry.remove("singer")
    assert await engine.text(carol, "scalesim") != old
    with pytest.raises(UnknownModelError):
        await engine.say(0, "singer")
    registry.add("singer", tmp_path / "21", ["town/carol"])
    new = await engine.text(carol, "scalesim")
    assert new != old
    registry.add("singer-too", tmp_path / "21")
    assert await engine.text(carol, "scalesim:singer-too") == new


async def test_a_load_that_broke_off_is_tried_again(
    engine: AdapterEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(registry: AdapterRegistry, name: str) -> Adapter:
        raise OSError("stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(AdapterRegistry, "find", gone)
        with pytest.raises(OSError, match="stale"):
            await engine.say(1, "miller")
    assert (await engine.say(1, "miller")).tokens


@pytest.mark.parametrize(
    "kind", ["rslora", "alpha-pattern", "rank-pattern", "patterns-rslora", "all-linear", "only-key"]
)
async def test_an_engine_answers_what_peft_does(
    engine: AdapterEngine, tiny_model: str, tmp_path: Path, kind: str
) -> None:
    source = make(tiny_model, tmp_path / kind, **HONOURED[kind])
    AdapterRegistry(engine.settings, tiny_model).add(kind, source)
    expected = answer(tiny_model, source, engine.prompt(0), 6)
    assert (await engine.say(0, kind)).tokens == expected
    if kind in {"rslora", "patterns-rslora", "all-linear"}:  # the others change less than a token
        assert (await engine.ask(0)).tokens != expected


def worse(weights: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    if kind == "wide":
        return {n: torch.cat((t, t), int("lora_A" in n)) for n, t in weights.items()}
    if kind == "deep":
        return {name.replace("layers.0", "layers.31"): t for name, t in weights.items()}
    if kind == "elsewhere":
        return {name.replace("q_proj", "x_proj"): t for name, t in weights.items()}
    return {name: t * torch.nan for name, t in weights.items()}


@pytest.mark.parametrize("kind", ["wide", "deep", "elsewhere", "nan"])
async def test_an_adapter_that_cannot_be_loaded_fails_alone(
    engine: AdapterEngine, root: Path, tiny_model: str, kind: str
) -> None:
    """The engine itself looks at what no registry compared with its model."""
    expected = (await engine.say(1)).tokens
    folder = build(root / kind, tiny_model, seed=1)
    file = folder / "adapter_model.safetensors"
    save_file({n: t.contiguous() for n, t in worse(load_file(file), kind).items()}, file)
    config = json.loads((folder / "adapter_config.json").read_text())
    targets = [*config["target_modules"], "x_proj"]
    config["target_modules"] = targets if kind == "elsewhere" else config["target_modules"]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match="cannot be loaded"):
            await engine.say(0, kind)
    assert (await engine.say(1)).tokens == expected


async def test_what_is_not_registered_is_unknown(engine: AdapterEngine) -> None:
    with pytest.raises(UnknownModelError):
        await engine.say(0, "nobody")
    with pytest.raises(InvalidRequestError, match="lora_path"):
        await engine.loader.load(Call(1, "chat", {"model": "scalesim", "lora_path": "/etc"}, "s"))

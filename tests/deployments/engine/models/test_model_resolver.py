from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scalesim.deployments.calls import Call
from scalesim.deployments.engine.assignments import Assignments
from scalesim.deployments.engine.models.model_resolver import ModelResolver
from scalesim.errors import InvalidRequestError, UnknownModelError
from scalesim.identity import agent_key
from scalesim.settings import EngineSettings, ModelSettings
from tests.support.model_files import write_model

pytestmark = pytest.mark.asyncio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in (write_model(tmp_path / "base"), write_model(tmp_path / "root" / "farmer", 1)):
        (folder / "tokenizer.json").write_text("words")
    return tmp_path / "root"


@pytest.fixture
def choice(root: Path) -> ModelResolver:
    models = ModelSettings(roots=(str(root),))
    return ModelResolver(EngineSettings(model_path=str(root.parent / "base"), models=models))


def call(body: dict[str, Any], agent: int = 0) -> Call:
    return Call(agent, "chat", body, "salt")


async def test_the_engines_own_model_has_no_identity(choice: ModelResolver) -> None:
    for body in ({}, {"model": "scalesim"}, {"model": "scalesim:farmer"}):
        assert await choice.of(call(body)) == ""


async def test_a_registered_model_of_the_same_architecture_is_taken(choice: ModelResolver) -> None:
    identity = await choice.of(call({"model": "farmer"}))
    assert identity.startswith("farmer@")
    assert await choice.of(call({"model": "farmer"})) == identity


async def test_an_agent_has_its_own_where_it_names_none(choice: ModelResolver, root: Path) -> None:
    write_model(root / "baker", 2)
    Assignments(root).assign("farmer", ["town/bob"])
    bob, farmer = agent_key("town", "bob"), await choice.of(call({"model": "farmer"}))
    assert await choice.of(call({"model": "scalesim"}, bob)) == farmer
    assert await choice.of(call({}, bob)) == farmer
    assert (await choice.of(call({"model": "baker"}, bob))).startswith("baker@")
    assert await choice.of(call({"model": "scalesim"}, agent_key("city", "bob"))) == ""


@pytest.mark.parametrize("name", ["nobody", "../base", "", 3, None, "/etc"])
async def test_others_are_unknown(choice: ModelResolver, name: Any) -> None:
    with pytest.raises(UnknownModelError):
        await choice.of(call({"model": name}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"hidden_size": 8}, r"hidden_size of config\.json is 8, the engine's is 4"),
        ({"rope_theta": 1e6}, r"rope_theta of config\.json is 1000000\.0, the engine's is None"),
        ({"torch_dtype": "bfloat16"}, r"dtype of config\.json"),
        ({"eos_token_id": 7}, r"eos_token_id"),
        ({"rows": 5}, r"tensor head\.weight is 'F32 \[5, 4\]', the engine's is 'F32 \[3, 4\]'"),
    ],
)
async def test_what_differs_is_named(
    choice: ModelResolver, root: Path, more: dict[str, Any], message: str
) -> None:
    write_model(root / "other", **more)
    with pytest.raises(InvalidRequestError, match=message):
        await choice.of(call({"model": "other"}))


async def test_other_words_are_refused(choice: ModelResolver, root: Path) -> None:
    (write_model(root / "other") / "tokenizer.json").write_text("other words")
    with pytest.raises(InvalidRequestError, match=r"tokenizer\.json"):
        await choice.of(call({"model": "other"}))


async def test_bookkeeping_may_differ(choice: ModelResolver, root: Path) -> None:
    folder = write_model(root / "other", transformers_version="4", _name_or_path="elsewhere")
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = config.pop("torch_dtype")
    (folder / "config.json").write_text(json.dumps(config))
    assert await choice.of(call({"model": "other"}))


async def test_broken_files_fail_alone(choice: ModelResolver, root: Path) -> None:
    folder = write_model(root / "other")
    (folder / "config.json").write_text("[]")
    with pytest.raises(InvalidRequestError, match="not a JSON object"):
        await choice.of(call({"model": "other"}))
    write_model(folder)
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InvalidRequestError, match=r"model\.safetensors has"):
        await choice.of(call({"model": "other"}))
    write_model(folder)
    assert await choice.of(call({"model": "other"}))

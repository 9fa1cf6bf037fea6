"""What clients call models, and what is served for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.deployments.model_names import ModelNames
from scalesim.errors import UnknownModelError
from scalesim.settings import ModelSettings
from tests.support.model_files import write_model

ALIASES = {"gpt-4o-mini": "scalesim", "tutor": "scalesim:kind", "llama3:8b": "scalesim"}


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("", "scalesim"),
        ("scalesim", "scalesim"),
        ("scalesim:ann", "scalesim:ann"),
        ("openai/scalesim", "scalesim"),
        ("hosted_vllm/scalesim:ann", "scalesim:ann"),
        ("openrouter/openai/gpt-4o-mini", "scalesim"),
        ("gpt-4o-mini:ann", "scalesim:ann"),
        ("tutor", "scalesim:kind"),
        ("openai/tutor:ann", "scalesim:ann"),
        ("ollama/llama3:8b", "scalesim"),
    ],
)
async def test_names_of_clients(asked: str, served: str) -> None:
    assert await ModelNames("scalesim", ALIASES).of(asked) == served


@pytest.mark.parametrize("asked", ["gpt-7", "scalesim2", "*", "scalesim/x", "/", "x:scalesim"])
async def test_what_is_not_served(asked: str) -> None:
    with pytest.raises(UnknownModelError, match=r"use 'scalesim', .* ingress\.model_aliases"):
        await ModelNames("scalesim", ALIASES).of(asked)
    assert await ModelNames("scalesim", {"*": "scalesim:kind"}).of(asked) == "scalesim:kind"


async def test_a_served_name_may_have_slashes() -> None:
    names = ModelNames("meta/llama", {"llama": "meta/llama"})
    for asked in ("meta/llama", "openai/meta/llama", "llama", "openai/llama"):
        assert await names.of(asked) == "meta/llama"


async def test_registered_models_go_before_the_alias_for_all(tmp_path: Path) -> None:
    write_model(tmp_path / "tune")
    registry = ModelRegistry(ModelSettings(roots=(str(tmp_path),)))
    names = ModelNames("scalesim", {"*": "scalesim"}, registry)
    assert await names.of("openai/tune") == "tune"
    assert await names.of("other") == "scalesim"
    assert await names.all() == ["scalesim", "tune"]


async def test_names_that_clients_may_list(tmp_path: Path) -> None:
    assert await ModelNames("scalesim", {**ALIASES, "*": "scalesim"}).all() == [
        "scalesim",
        *ALIASES,
    ]


class CountedLookups(dict[str, str]):
    """Aliases that count how often a name is looked up."""

    count = 0

    def __contains__(self, name: object) -> bool:
        self.count += 1
        return super().__contains__(name)


async def test_a_long_name_is_not_looked_up_slash_by_slash() -> None:
    for aliases in (CountedLookups(ALIASES), CountedLookups({"*": "scalesim"})):
        names, long = ModelNames("scalesim", aliases), "/" * 60_000
        if "*" in aliases:
            assert await names.of(long) == "scalesim"
        else:
            with pytest.raises(UnknownModelError):
                await names.of(long)
        assert aliases.count <= 2

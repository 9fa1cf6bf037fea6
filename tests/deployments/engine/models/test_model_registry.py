from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scalesim.deployments.engine.models.model_registry import INDEX, ModelRegistry, weight_files
from scalesim.errors import InvalidRequestError, UnknownModelError
from scalesim.settings import ModelSettings
from tests.support.model_files import write_model


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_model(tmp_path / "root" / "farmer", 1)
    write_model(tmp_path / "outside" / "secret", 2)
    return tmp_path / "root"


@pytest.fixture
def registry(root: Path) -> ModelRegistry:
    return ModelRegistry(ModelSettings(roots=(str(root),), max_bytes=10_000))


def test_a_version_changes_with_the_files(registry: ModelRegistry, root: Path) -> None:
    before = registry.find("farmer")
    assert registry.find("farmer") == before
    weights = root / "farmer" / "model.safetensors"
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1))
    after = registry.find("farmer")
    assert (after.name, after.folder) == (before.name, before.folder)
    assert after.identity != before.identity


def test_links_out_of_the_root_are_refused(registry: ModelRegistry, root: Path) -> None:
    secret = root.parent / "outside" / "secret"
    (root / "linked").symlink_to(secret)
    write_model(root / "part")
    (root / "part" / INDEX).symlink_to(secret / "config.json")
    for name in ("linked", "part"):
        with pytest.raises(InvalidRequestError, match="leads out of"):
            registry.find(name)
    assert [model.name for model in registry.all()] == ["farmer"]


def test_only_whole_safetensors_below_the_cap_are_found(
    registry: ModelRegistry, root: Path
) -> None:
    folder = write_model(root / "other")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidRequestError, match=r"lacks config\.json or \*\.safetensors"):
        registry.find("other")
    write_model(root / "huge", rows=10_000)
    with pytest.raises(InvalidRequestError, match="up to 10000 are allowed"):
        registry.find("huge")
    write_model(root / "cut")
    (root / "cut" / INDEX).write_text(json.dumps({"weight_map": {"head": "b.safetensors"}}))
    with pytest.raises(InvalidRequestError, match="lacks a file"):
        registry.find("cut")


def test_an_index_says_which_files_count(root: Path) -> None:
    folder = root / "farmer"
    (folder / "consolidated.safetensors").write_bytes(b"the same once more")
    assert len(weight_files(folder)) == 2
    (folder / INDEX).write_text(json.dumps({"weight_map": {"head": "model.safetensors"}}))
    assert weight_files(folder) == [folder / "model.safetensors"]
    for names in ({"head": "../a.safetensors"}, {"head": "/etc/passwd"}, {"head": "a.bin"}, 3):
        (folder / INDEX).write_text(json.dumps({"weight_map": names}))
        with pytest.raises(InvalidRequestError, match="names files elsewhere"):
            weight_files(folder)


def test_what_is_still_being_copied_cannot_be_found(registry: ModelRegistry, root: Path) -> None:
    added = registry.add("baker", root.parent / "outside" / "secret")
    assert added.folder == root / "baker"
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []
    write_model(root / ".miller.partial")
    with pytest.raises(UnknownModelError, match="scalesim model add"):
        registry.find(".miller.partial")
    assert [model.name for model in registry.all()] == ["baker", "farmer"]
    registry.remove("baker")
    with pytest.raises(UnknownModelError):
        registry.find("baker")

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalesim.deployments.engine.adapter_registry import AdapterRegistry
from scalesim.errors import InvalidRequestError, UnknownModelError
from scalesim.identity import agent_key
from scalesim.settings import AdapterSettings
from tests.support.adapter_files import write_adapter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "root" / "farmer", 1)
    write_adapter(tmp_path / "root" / "wide", 2, rank=32)
    write_adapter(tmp_path / "outside" / "secret", 3)
    return tmp_path / "root"


@pytest.fixture
def registry(root: Path) -> AdapterRegistry:
    return AdapterRegistry(AdapterSettings(roots=(str(root),), max_rank=16, max_bytes=100_000))


def test_what_is_in_a_root_is_found(registry: AdapterRegistry, root: Path) -> None:
    adapter = registry.find("farmer")
    assert (adapter.name, adapter.folder, adapter.rank) == ("farmer", root / "farmer", 8)
    assert [found.name for found in registry.all()] == ["farmer"]


@pytest.mark.parametrize(
    "name", ["nobody", "", "..", "../outside/secret", "a/b", "/etc", ".hidden", "x" * 200, "a\x00"]
)
def test_other_names_are_unknown(registry: AdapterRegistry, name: str) -> None:
    with pytest.raises(UnknownModelError, match="not registered"):
        registry.find(name)


def test_links_out_of_the_root_are_refused(registry: AdapterRegistry, root: Path) -> None:
    secret = root.parent / "outside" / "secret"
    (root / "linked").symlink_to(secret)
    (root / "part").mkdir()
    for file in secret.iterdir():
        (root / "part" / file.name).symlink_to(file)
    for name in ("linked", "part"):
        with pytest.raises(InvalidRequestError, match="leads out of"):
            registry.find(name)


def test_caps_hold(registry: AdapterRegistry, root: Path) -> None:
    with pytest.raises(InvalidRequestError, match="has rank 32"):
        registry.find("wide")
    small = AdapterRegistry(AdapterSettings(roots=(str(root),), max_bytes=10_000))
    with pytest.raises(InvalidRequestError, match="bytes: up to 10000"):
        small.find("farmer")


def test_pickles_and_broken_configurations_are_refused(
    registry: AdapterRegistry, root: Path
) -> None:
    config = root / "farmer" / "adapter_config.json"
    values = json.loads(config.read_text())
    for broken in ("no json", "[]", "{}", *(json.dumps({**values, "r": r}) for r in ("many", 0))):
        config.write_text(broken)
        with pytest.raises(InvalidRequestError, match="'farmer' cannot be served"):
            registry.find("farmer")
    weights = root / "farmer" / "adapter_model.safetensors"
    weights.rename(weights.with_name("adapter_model.bin"))
    with pytest.raises(InvalidRequestError, match="safetensors"):
        registry.find("farmer")


def test_adding_copies_what_was_checked(registry: AdapterRegistry, root: Path) -> None:
    source = root.parent / "outside" / "secret"
    added = registry.add("baker", source)
    assert added.folder == root / "baker"
    assert sorted(file.name for file in added.folder.iterdir()) == sorted(
        file.name for file in source.iterdir()
    )
    with pytest.raises(InvalidRequestError, match="that no other has"):
        registry.add("baker", source)
    with pytest.raises(InvalidRequestError, match="has rank 32"):
        registry.add("broad", root / "wide")
    assert not (root / "broad").exists()
    registry.remove("baker")
    with pytest.raises(UnknownModelError):
        registry.remove("baker")


def test_agents_come_and_go_with_what_they_have(registry: AdapterRegistry, root: Path) -> None:
    source, bob, ann = root / "farmer", agent_key("town", "bob"), agent_key("town", "ann")
    registry.add("baker", source, ["town/bob", "town/ann"])
    assert (registry.assigned_to(bob), registry.assigned_to(0)) == ("baker", None)
    registry.add("smith", source, ["town/bob"])
    assert (registry.assigned_to(bob), registry.assigned_to(ann)) == ("smith", "baker")
    assert (registry.agents()["baker"], registry.agents()["farmer"]) == (1, 0)
    registry.remove("smith")
    assert (registry.assigned_to(bob), registry.assigned_to(ann)) == (None, "baker")
    with pytest.raises(InvalidRequestError, match="SIMULATION/AGENT"):
        registry.add("other", source, ["bob"])
    assert not (root / "other").exists()
    assert [adapter.name for adapter in registry.all()] == ["baker", "farmer"]


def test_what_is_registered_anew_is_another(registry: AdapterRegistry, root: Path) -> None:
    before = registry.find("farmer")
    assert registry.find("farmer").identity == before.identity
    registry.remove("farmer")
    registry.add("farmer", write_adapter(root.parent / "new", 7))
    assert registry.find("farmer").identity != before.identity


def test_an_agent_of_two_roots_has_what_the_first_one_gave_it(root: Path, tmp_path: Path) -> None:
    roots = (str(root), str(tmp_path / "more"))
    for place, name in zip(roots, ("smith", "baker"), strict=True):
        AdapterRegistry(AdapterSettings(roots=(place,))).add(name, root / "farmer", ["town/bob"])
    both = AdapterRegistry(AdapterSettings(roots=roots))
    assert both.assigned_to(agent_key("town", "bob")) == "smith"
    assert both.agents() == {"smith": 1}
    both.unassign(["town/bob"])
    assert both.assigned_to(agent_key("town", "bob")) is None

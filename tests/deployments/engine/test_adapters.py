from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalesim.deployments.engine.adapters import AdapterShelf
from scalesim.errors import InvalidRequestError, UnknownModelError
from scalesim.identity import agent_key
from scalesim.settings import AdapterSettings
from tests.deployments.engine.adapter_files import write_adapter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "root" / "farmer", 1)
    write_adapter(tmp_path / "root" / "wide", 2, rank=32)
    write_adapter(tmp_path / "outside" / "secret", 3)
    return tmp_path / "root"


@pytest.fixture
def shelf(root: Path) -> AdapterShelf:
    return AdapterShelf(AdapterSettings(roots=(str(root),), max_rank=16, max_bytes=100_000))


def test_what_is_in_a_root_is_found(shelf: AdapterShelf, root: Path) -> None:
    adapter = shelf.find("farmer")
    assert (adapter.name, adapter.folder, adapter.rank) == ("farmer", root / "farmer", 8)
    assert [found.name for found in shelf.all()] == ["farmer"]


@pytest.mark.parametrize(
    "name", ["nobody", "", "..", "../outside/secret", "a/b", "/etc", ".hidden", "x" * 200, "a\x00"]
)
def test_other_names_are_unknown(shelf: AdapterShelf, name: str) -> None:
    with pytest.raises(UnknownModelError, match="not registered"):
        shelf.find(name)


def test_links_out_of_the_root_are_refused(shelf: AdapterShelf, root: Path) -> None:
    secret = root.parent / "outside" / "secret"
    (root / "linked").symlink_to(secret)
    (root / "part").mkdir()
    for file in secret.iterdir():
        (root / "part" / file.name).symlink_to(file)
    for name in ("linked", "part"):
        with pytest.raises(InvalidRequestError, match="leads out of"):
            shelf.find(name)


def test_caps_hold(shelf: AdapterShelf, root: Path) -> None:
    with pytest.raises(InvalidRequestError, match="has rank 32"):
        shelf.find("wide")
    small = AdapterShelf(AdapterSettings(roots=(str(root),), max_bytes=10_000))
    with pytest.raises(InvalidRequestError, match="bytes: up to 10000"):
        small.find("farmer")


def test_pickles_and_broken_configurations_are_refused(shelf: AdapterShelf, root: Path) -> None:
    config = root / "farmer" / "adapter_config.json"
    told = json.loads(config.read_text())
    for broken in ("no json", "[]", "{}", *(json.dumps({**told, "r": r}) for r in ("many", 0))):
        config.write_text(broken)
        with pytest.raises(InvalidRequestError, match="'farmer' cannot be served"):
            shelf.find("farmer")
    weights = root / "farmer" / "adapter_model.safetensors"
    weights.rename(weights.with_name("adapter_model.bin"))
    with pytest.raises(InvalidRequestError, match="safetensors"):
        shelf.find("farmer")


def test_adding_copies_what_was_checked(shelf: AdapterShelf, root: Path) -> None:
    source = root.parent / "outside" / "secret"
    added = shelf.add("baker", source)
    assert added.folder == root / "baker"
    assert sorted(file.name for file in added.folder.iterdir()) == sorted(
        file.name for file in source.iterdir()
    )
    with pytest.raises(InvalidRequestError, match="that no other has"):
        shelf.add("baker", source)
    with pytest.raises(InvalidRequestError, match="has rank 32"):
        shelf.add("broad", root / "wide")
    assert not (root / "broad").exists()
    shelf.remove("baker")
    with pytest.raises(UnknownModelError):
        shelf.remove("baker")


def test_agents_come_and_go_with_what_they_have(shelf: AdapterShelf, root: Path) -> None:
    source, bob, ann = root / "farmer", agent_key("town", "bob"), agent_key("town", "ann")
    shelf.add("baker", source, ["town/bob", "town/ann"])
    assert (shelf.assigned_to(bob), shelf.assigned_to(0)) == ("baker", None)
    shelf.add("smith", source, ["town/bob"])
    assert (shelf.assigned_to(bob), shelf.assigned_to(ann)) == ("smith", "baker")
    assert (shelf.agents()["baker"], shelf.agents()["farmer"]) == (1, 0)
    shelf.remove("smith")
    assert (shelf.assigned_to(bob), shelf.assigned_to(ann)) == (None, "baker")
    with pytest.raises(InvalidRequestError, match="SIMULATION/AGENT"):
        shelf.add("other", source, ["bob"])
    assert not (root / "other").exists()
    assert [adapter.name for adapter in shelf.all()] == ["baker", "farmer"]


def test_what_is_registered_anew_is_another(shelf: AdapterShelf, root: Path) -> None:
    before = shelf.find("farmer")
    assert shelf.find("farmer").identity == before.identity
    shelf.remove("farmer")
    shelf.add("farmer", write_adapter(root.parent / "new", 7))
    assert shelf.find("farmer").identity != before.identity


def test_an_agent_of_two_roots_has_what_the_first_one_gave_it(root: Path, tmp_path: Path) -> None:
    roots = (str(root), str(tmp_path / "more"))
    for place, name in zip(roots, ("smith", "baker"), strict=True):
        AdapterShelf(AdapterSettings(roots=(place,))).add(name, root / "farmer", ["town/bob"])
    both = AdapterShelf(AdapterSettings(roots=roots))
    assert both.assigned_to(agent_key("town", "bob")) == "smith"
    assert both.agents() == {"smith": 1}
    both.unassign(["town/bob"])
    assert both.assigned_to(agent_key("town", "bob")) is None

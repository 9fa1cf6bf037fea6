from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import pytest

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.storage.folder import PageFolder
from scalesim.deployments.engine.storage.known_pages import Chain

SIZE = 100
FILE = SIZE + 16


def chain(agent: str, pages: int = 4) -> tuple[str, ...]:
    return tuple(f"{agent}{page}" for page in range(pages))


class HashedPages(PageFolder):
    """A folder whose pages are filled with their name's hash."""

    def __init__(self, folder: Path, pages: int = 1000) -> None:
        super().__init__(folder, pages * FILE)
        self.folder = folder
        self.order = DistanceOrder()
        self.nearest = self.order.nearest
        self.owned: dict[int, set[str]] = {}

    def own(self, owner: int, chains: Iterable[Chain]) -> None:
        given = list(chains)
        self.owned[owner] = {name for names in given for name in names}
        super().own(owner, given)

    def keep(self, owner: int | None, names: tuple[str, ...]) -> None:
        if owner is not None:
            self.own(owner, [names])
        for name in names:
            assert self.put(name, memoryview(name.encode() * (SIZE // len(name))))

    def drop(self, owner: int) -> None:
        super().drop(owner)
        self.wait_until_tidy()

    def fetch(self, name: str) -> bool:
        self.wait_until_tidy()
        into = bytearray(SIZE)
        return self.get(name, memoryview(into)) and into == name.encode() * (SIZE // len(name))

    def check_integrity(self) -> None:
        assert self.wait_until_tidy()
        files = {file.stem: file.stat().st_size for file in self.folder.glob("*.page")}
        assert files == self.sizes
        assert sum(files.values()) == self.held_bytes
        assert self.owners.keys() == {name for names in self.owned.values() for name in names}
        for name, owners in self.owners.items():
            assert owners == {owner for owner, names in self.owned.items() if name in names}


@pytest.fixture
def registry(tmp_path: Path) -> HashedPages:
    return HashedPages(tmp_path / "pages", pages=12)


def test_pages_survive_a_restart(tmp_path: Path) -> None:
    HashedPages(tmp_path).keep(1, chain("a"))
    (tmp_path / "half.123.draft").write_bytes(b"written by a process that died")
    again = HashedPages(tmp_path)
    assert again.holds(chain("a")) == 4
    assert again.fetch("a0")
    assert not list(tmp_path.glob("*.draft"))
    again.check_integrity()


def test_a_chain_is_held_up_to_its_first_gap(registry: HashedPages) -> None:
    registry.keep(1, chain("a"))
    (registry.folder / "a2.page").unlink()
    assert registry.holds(chain("a")) == 4
    assert not registry.on_disk("a2")
    assert registry.holds(chain("a")) == 2
    registry.check_integrity()


def test_damage_is_a_miss_and_heals(registry: HashedPages) -> None:
    registry.keep(1, chain("a"))
    registry.take_changed()
    (registry.folder / "a1.page").write_bytes(b"no page")
    assert not registry.fetch("a1")
    assert registry.holds(chain("a")) == 1
    assert registry.take_changed() == {1}
    registry.keep(1, chain("a"))
    assert registry.fetch("a1")
    registry.check_integrity()


def test_the_farthest_agent_leaves_first_from_its_end(registry: HashedPages) -> None:
    for owner, name in enumerate("abc"):
        registry.keep(owner, chain(name))
    registry.order.push((0, 1, 2, 3), (1.0, 9.0, 5.0, 0.0))
    registry.take_changed()
    registry.keep(3, ("d0",))
    assert [registry.holds(chain(name)) for name in "abc"] == [4, 2, 4]
    assert registry.take_changed() == {1, 3}
    registry.check_integrity()


def test_pages_without_an_owner_leave_before_any_agents(registry: HashedPages) -> None:
    registry.keep(None, chain("x"))
    registry.keep(0, chain("a"))
    registry.keep(1, chain("b"))
    registry.keep(2, ("c0",))
    assert [registry.holds(chain(name)) for name in "ab"] == [4, 4]
    assert [registry.fetch(name) for name in chain("x")] == [False, False, True, True]


def test_without_distances_the_longest_unused_agent_leaves_first(registry: HashedPages) -> None:
    for owner, name in enumerate("abc"):
        registry.keep(owner, chain(name))
    registry.own(0, [chain("a")])
    registry.keep(3, ("d0",))
    assert [registry.holds(chain(name)) for name in "abc"] == [4, 2, 4]


def test_a_shared_page_is_as_near_as_its_nearest_owner(registry: HashedPages) -> None:
    shared = ("s0", "s1")
    registry.keep(0, shared + chain("a"))
    registry.keep(1, shared + chain("b", 3))
    registry.order.push((0, 1), (inf, 1.0))
    registry.keep(2, chain("c"))
    assert registry.holds(shared) == 2
    registry.drop(0)
    assert registry.holds(shared) == 2
    registry.drop(1)
    assert registry.holds(shared) == 0
    registry.check_integrity()


def test_a_folder_that_was_deleted_is_made_again(registry: HashedPages) -> None:
    registry.keep(1, ("a0",))
    registry.keep(2, ("b0",))
    registry.take_changed()
    shutil.rmtree(registry.folder.parent)
    assert not registry.fetch("a0")
    registry.keep(3, ("c0",))
    assert registry.fetch("c0")
    assert not registry.fault
    assert registry.held_bytes == FILE
    assert registry.take_changed() == {1, 2, 3}
    registry.check_integrity()


def test_threads_do_not_disturb_each_other(registry: HashedPages) -> None:
    def work(owner: int) -> None:
        for turn in range(30):
            names = chain(f"{owner}{turn % 3}-")
            registry.own(owner, [names])
            for name in names:
                registry.put(name, memoryview((name * SIZE).encode()[:SIZE]))
            registry.holds(names)
            registry.drop(owner)
            registry.take_changed()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert registry.held_bytes <= registry.quota_bytes
    registry.check_integrity()

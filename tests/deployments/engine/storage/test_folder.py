from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import pytest

from scalesim.deployments.engine.order import DistanceOrder
from scalesim.deployments.engine.storage.folder import PageFolder

SIZE = 100
FILE = SIZE + 16


def chain(agent: str, pages: int = 4) -> tuple[str, ...]:
    return tuple(f"{agent}{page}" for page in range(pages))


class Shelf(PageFolder):
    """A folder whose pages are filled with their name's hash."""

    def __init__(self, folder: Path, pages: int = 1000) -> None:
        super().__init__(folder, pages * FILE)
        self.folder = folder
        self.order = DistanceOrder()
        self.nearest = self.order.nearest

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
        self.wait_until_tidy()
        files = {file.stem: file.stat().st_size for file in self.folder.glob("*.page")}
        assert not self._doomed
        assert files == self._sizes
        assert sum(files.values()) == self.held_bytes
        named = {name for chains in self._chains.values() for c in chains for name in c}
        assert named == set(self._owners)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "pages", pages=12)


def test_pages_survive_a_restart(tmp_path: Path) -> None:
    Shelf(tmp_path).keep(1, chain("a"))
    (tmp_path / "half.123.draft").write_bytes(b"written by a process that died")
    again = Shelf(tmp_path)
    assert again.holds(chain("a")) == 4
    assert again.fetch("a0")
    assert not list(tmp_path.glob("*.draft"))
    again.check_integrity()


def test_a_chain_is_held_up_to_its_first_gap(shelf: Shelf) -> None:
    shelf.keep(1, chain("a"))
    (shelf.folder / "a2.page").unlink()
    assert shelf.holds(chain("a")) == 4
    assert not shelf.on_disk("a2")
    assert shelf.holds(chain("a")) == 2
    shelf.check_integrity()


def test_damage_is_a_miss_and_heals(shelf: Shelf) -> None:
    shelf.keep(1, chain("a"))
    shelf.news()
    (shelf.folder / "a1.page").write_bytes(b"no page")
    assert not shelf.fetch("a1")
    assert shelf.holds(chain("a")) == 1
    assert shelf.news() == {1}
    shelf.keep(1, chain("a"))
    assert shelf.fetch("a1")
    shelf.check_integrity()


def test_the_farthest_agent_leaves_first_from_its_end(shelf: Shelf) -> None:
    for owner, name in enumerate("abc"):
        shelf.keep(owner, chain(name))
    shelf.order.push((0, 1, 2, 3), (1.0, 9.0, 5.0, 0.0))
    shelf.news()
    shelf.keep(3, ("d0",))
    assert [shelf.holds(chain(name)) for name in "abc"] == [4, 2, 4]
    assert shelf.news() == {1, 3}
    shelf.check_integrity()


def test_nobodys_pages_leave_before_any_agents(shelf: Shelf) -> None:
    shelf.keep(None, chain("x"))
    shelf.keep(0, chain("a"))
    shelf.keep(1, chain("b"))
    shelf.keep(2, ("c0",))
    assert [shelf.holds(chain(name)) for name in "ab"] == [4, 4]
    assert [shelf.fetch(name) for name in chain("x")] == [False, False, True, True]


def test_without_distances_the_longest_unused_agent_leaves_first(shelf: Shelf) -> None:
    for owner, name in enumerate("abc"):
        shelf.keep(owner, chain(name))
    shelf.own(0, [chain("a")])
    shelf.keep(3, ("d0",))
    assert [shelf.holds(chain(name)) for name in "abc"] == [4, 2, 4]


def test_a_shared_page_is_as_near_as_its_nearest_owner(shelf: Shelf) -> None:
    shared = ("s0", "s1")
    shelf.keep(0, shared + chain("a"))
    shelf.keep(1, shared + chain("b", 3))
    shelf.order.push((0, 1), (inf, 1.0))
    shelf.keep(2, chain("c"))
    assert shelf.holds(shared) == 2
    shelf.drop(0)
    assert shelf.holds(shared) == 2
    shelf.drop(1)
    assert shelf.holds(shared) == 0
    shelf.check_integrity()


def test_a_folder_that_was_deleted_is_made_again(shelf: Shelf) -> None:
    shelf.keep(1, ("a0",))
    shelf.keep(2, ("b0",))
    shelf.news()
    shutil.rmtree(shelf.folder.parent)
    assert not shelf.fetch("a0")
    shelf.keep(3, ("c0",))
    assert shelf.fetch("c0")
    assert not shelf.fault
    assert shelf.held_bytes == FILE
    assert shelf.news() == {1, 2, 3}
    shelf.check_integrity()


def test_threads_do_not_disturb_each_other(shelf: Shelf) -> None:
    def work(owner: int) -> None:
        for turn in range(30):
            names = chain(f"{owner}{turn % 3}-")
            shelf.own(owner, [names])
            for name in names:
                shelf.put(name, memoryview((name * SIZE).encode()[:SIZE]))
            shelf.holds(names)
            shelf.drop(owner)
            shelf.news()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert shelf.held_bytes <= shelf.quota_bytes
    shelf.check_integrity()

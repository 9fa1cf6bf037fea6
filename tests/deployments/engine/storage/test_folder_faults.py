"""A folder that fails at any operation, with any error, at any time: nobody who calls it does."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scalesim.deployments.engine.storage import disk
from scalesim.deployments.engine.storage.disk import RETRY_S, Disk
from scalesim.deployments.engine.storage.folder import PageFolder

SIZE = 64
ERRORS = (errno.EIO, errno.ESTALE, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOSPC)
ON_PATHS = ("open", "mkdir", "replace", "unlink", "write_bytes")
ON_OS = ("stat", "unlink", "scandir")
OPERATIONS = (*ON_PATHS, *(f"os.{name}" for name in ON_OS))


class Faults:
    """What fails, and with which error."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.threads: set[threading.Thread] = set()

    def check(self, operation: str) -> None:
        self.threads.add(threading.current_thread())
        if operation in self.now:
            code = self.now[operation]
            raise OSError(code, os.strerror(code))


class FailingOs:
    """`os` as far as the disk uses it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        if name in ON_OS:
            self._faults.check(f"os.{name}")
        return getattr(os, name)


def failing_path(folder: str, faults: Faults) -> Path:
    class FailingPath(type(Path())):  # type: ignore[misc]
        pass

    for name in ON_PATHS:

        def call(self: Any, *args: Any, _name: str = name, **more: Any) -> Any:
            faults.check(_name)
            return getattr(Path, _name)(self, *args, **more)

        setattr(FailingPath, name, call)
    path: Path = FailingPath(folder)
    return path


def page(name: str) -> bytes:
    return (name.encode() * SIZE)[:SIZE]


class FaultyFolderMachine(RuleBasedStateMachine):
    """Pages come and go while operations fail and the folder is pulled away."""

    names = st.sampled_from([f"p{i}" for i in range(6)])

    @initialize(at_start=st.dictionaries(st.sampled_from(OPERATIONS), st.sampled_from(ERRORS)))
    def start(self, at_start: dict[str, int]) -> None:
        self.root = tempfile.mkdtemp(prefix="scalesim-test-")
        self.faults, self.now, self.waited = Faults(), 0.0, False
        self.real = Path(self.root) / "pages"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(disk, "os", FailingOs(self.faults))
        self.faults.now = dict(at_start)
        where = failing_path(str(self.real), self.faults)
        self.folder = PageFolder(where, 4 * (SIZE + 16), Disk(where, lambda: self.now))
        self.folder.nearest = lambda owners: float(min(owners))

    @rule(name=names)
    def put(self, name: str) -> None:
        off, tried_again, self.waited = self.folder.fault, self.waited, False
        kept = self.folder.put(name, memoryview(page(name)))
        assert not (kept and off and not tried_again)

    @rule(name=names)
    def get(self, name: str) -> None:
        into = bytearray(SIZE)
        if self.folder.get(name, memoryview(into)):
            assert into == page(name)

    @rule(name=names)
    def look(self, name: str) -> None:
        self.folder.on_disk(name)

    @rule(owner=st.integers(0, 3), chain=st.lists(names, unique=True, max_size=4))
    def own(self, owner: int, chain: list[str]) -> None:
        self.on_scheduler(lambda: self.folder.own(owner, [tuple(chain)]))

    @rule(owner=st.integers(0, 3))
    def done(self, owner: int) -> None:
        def work() -> None:
            self.folder.own(owner, ())
            self.folder.drop(owner)

        self.on_scheduler(work)

    @rule()
    def take_changed(self) -> None:
        self.on_scheduler(lambda: self.folder.take_changed())

    @rule(operation=st.sampled_from(OPERATIONS), error=st.sampled_from(ERRORS))
    def fail(self, operation: str, error: int) -> None:
        self.faults.now[operation] = error

    @rule()
    def clear(self) -> None:
        self.folder.clear()

    @rule()
    def delete_folder(self) -> None:
        self.folder.wait_until_tidy()
        shutil.rmtree(self.real, ignore_errors=True)

    @precondition(lambda self: not self.real.exists())
    @rule()
    def put_a_file_in_its_place(self) -> None:
        self.real.write_bytes(b"")

    @rule()
    def mend(self) -> None:
        self.faults.now.clear()
        if self.real.is_file():
            self.real.unlink()
        self.now += RETRY_S
        self.waited = True
        self.folder.take_changed()
        self.folder.wait_until_tidy()
        self.folder.put("p0", memoryview(page("p0")))
        self.folder.wait_until_tidy()
        assert not self.folder.fault
        for name in list(self.folder.sizes):
            self.folder.on_disk(name)
        assert self.folder.wait_until_tidy()
        files = {file.stem: file.stat().st_size for file in self.real.glob("*.page")}
        assert files == self.folder.sizes

    def on_scheduler(self, work: Any) -> None:
        """Do what a scheduler does, and see that it touched no file itself."""
        self.faults.threads.clear()
        work()
        assert threading.current_thread() not in self.faults.threads

    @invariant()
    def check_integrity(self) -> None:
        if not hasattr(self, "folder"):
            return
        assert self.folder.held_bytes == sum(self.folder.sizes.values())
        assert self.folder.held_bytes <= self.folder.quota_bytes
        if self.folder.fault:
            assert self.folder.holds(("p0",)) == 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.wait_until_tidy()
            self.patch.undo()
            shutil.rmtree(self.root, ignore_errors=True)


FaultyFolderMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
TestMachine = FaultyFolderMachine.TestCase


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    faults = Faults()
    monkeypatch.setattr(disk, "os", FailingOs(faults))
    return faults


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES])
def test_it_is_off_and_says_why_until_it_works(
    tmp_path: Path, faults: Faults, error: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    where = failing_path(str(tmp_path), faults)
    folder = PageFolder(where, 10**6, Disk(where, lambda: now))
    for owner, name in enumerate("ab"):
        folder.own(owner, [(name,)])
        assert folder.put(name, memoryview(page(name)))
    folder.take_changed()
    faults.now = dict.fromkeys(OPERATIONS, error)
    folder.drop(0)
    folder.wait_until_tidy()
    assert os.strerror(error) in folder.fault
    assert folder.take_changed() == {1}
    assert folder.holds(("b",)) == 0
    assert not folder.put("c", memoryview(page("c")))
    faults.threads.clear()
    assert not folder.get("b", memoryview(bytearray(SIZE)))
    assert not faults.threads  # left alone, not asked again and again
    now += RETRY_S
    assert not folder.put("c", memoryview(page("c")))
    faults.now.clear()
    assert folder.fault
    now += RETRY_S
    folder.take_changed()
    folder.wait_until_tidy()
    assert not folder.fault
    assert folder.take_changed() == {1}
    assert folder.holds(("b",)) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.page"]
    said = [record.message for record in caplog.records]
    assert len(said) == 2
    assert os.strerror(error) in said[0]
    assert "works again" in said[1]


def test_a_page_that_cannot_be_read_is_deleted_once_the_disk_works(
    tmp_path: Path, faults: Faults
) -> None:
    now = 0.0
    where = failing_path(str(tmp_path), faults)
    folder = PageFolder(where, 10**6, Disk(where, lambda: now))
    for name in "ab":
        assert folder.put(name, memoryview(page(name)))
    faults.now = {"open": errno.EIO}
    assert not folder.get("a", memoryview(bytearray(SIZE)))
    faults.now.clear()
    now += RETRY_S
    assert folder.get("b", memoryview(bytearray(SIZE)))
    folder.wait_until_tidy()
    assert [file.name for file in tmp_path.iterdir()] == ["b.page"]


def test_a_full_disk_takes_no_more_and_is_no_fault(tmp_path: Path, faults: Faults) -> None:
    where = failing_path(str(tmp_path), faults)
    folder = PageFolder(where, 10**6, Disk(where))
    assert folder.put("a", memoryview(page("a")))
    faults.now = {"open": errno.ENOSPC}
    assert not folder.put("b", memoryview(page("b")))
    faults.now.clear()
    assert folder.get("a", memoryview(bytearray(SIZE)))
    assert not folder.fault


def test_what_another_replica_deletes_meanwhile_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "left.page").symlink_to(tmp_path / "nowhere")  # listed, and gone when looked at
    folder = PageFolder(tmp_path, 10**6)
    assert not folder.fault
    assert folder.put("a", memoryview(page("a")))
    assert folder.held_bytes == SIZE + 16


def test_an_engine_starts_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    now = 0.0
    where = tmp_path / "file" / "pages"
    folder = PageFolder(where, 10**6, Disk(where, lambda: now))
    assert "file" in folder.fault
    (tmp_path / "file").unlink()
    now += RETRY_S
    assert folder.put("a", memoryview(page("a")))
    assert where.is_dir()

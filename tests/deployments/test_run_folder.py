"""Run folders: held while their process lives, swept with everything in them once it is gone."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scalesim.deployments import run_folder
from scalesim.deployments.run_folder import RunFolder
from scalesim.errors import ConfigurationError

_OWNER = """
import contextlib, os, subprocess, sys
from pathlib import Path
from scalesim.deployments.run_folder import RunFolder
folder = RunFolder()
guard = None
if "guard" in sys.argv:
    guard = folder.guard(*map(float, sys.argv[2:3]))
(folder.path / "sub").mkdir()
log = (folder.path / "sub" / "log").open("w")
with contextlib.nullcontext() if "log" in sys.argv else folder.as_tmpdir():
    out = log if "log" in sys.argv else 2
    command = ["sleep", "600"]
    if "below" in sys.argv:  # in between is one of the folder, whose child shows nothing of it
        start = "subprocess.Popen(['sleep', '600'], env={}, stdout=2)"
        code = f"import subprocess, time; print({start}.pid, flush=True); time.sleep(600)"
        command = [sys.executable, "-c", code]
        out = subprocess.PIPE
    child = subprocess.Popen(command, stdout=out, start_new_session=True, text=True)
Path(f"/dev/shm/any_{folder.path.name}_1").touch()
if "fork" in sys.argv and not os.fork():  # inherits lock and pipe, and is not the folder's
    log.close()
    sys.stdin.read()
    os._exit(0)
pid = child.stdout.readline().strip() if child.stdout else child.pid
print(folder.path, pid, guard, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, of a short name."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


class Owner:
    """Another process with a folder, a child in it and a segment of shared memory."""

    def __init__(self, *arguments: str, stderr: int | None = None) -> None:
        command = [sys.executable, "-c", _OWNER, *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True)
        assert self.process.stdout is not None
        path, child, guard = self.process.stdout.readline().split()
        self.path = Path(path)
        self.child = psutil.Process(int(child))
        self.guard = None if guard == "None" else psutil.Process(int(guard))
        self.segment = Path(f"/dev/shm/any_{self.path.name}_1")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def is_gone(self) -> bool:
        return not (self.path.exists() or self.segment.exists() or self.child.is_running())


@pytest.fixture(params=["started", "log", "below"])
def owner(short: Path, request: pytest.FixtureRequest) -> Iterator[Owner]:
    owner = Owner(request.param)
    yield owner
    owner.kill()
    run_folder.sweep(run_folder.root())
    assert owner.is_gone()


def test_a_folder_is_private_and_leaves_nothing(short: Path) -> None:
    with RunFolder() as folder:
        assert folder.path.stat().st_mode & 0o077 == 0
        (folder.path / "kept").write_text("x")
    folder.remove()
    assert list(short.iterdir()) == []


@pytest.mark.slow
def test_what_a_killed_process_left_goes_with_the_next(owner: Owner) -> None:
    owner.kill()
    assert owner.child.is_running()
    with RunFolder():
        assert owner.is_gone()


@pytest.mark.slow
def test_what_a_living_process_has_stays(owner: Owner) -> None:
    with RunFolder():
        pass
    assert owner.path.exists()
    assert owner.segment.exists()
    assert owner.child.is_running()


@pytest.mark.slow
def test_a_guard_sweeps_at_once(short: Path) -> None:
    owner = Owner("guard")
    assert owner.guard is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # as systemd does, to everybody
        owner.guard.send_signal(number)
    owner.kill()
    owner.guard.wait(60)
    assert owner.is_gone()
    assert list(short.iterdir()) == []


@pytest.mark.slow
def test_a_guard_says_what_is_known_of_a_sudden_end(short: Path) -> None:
    owner = Owner("guard", stderr=subprocess.PIPE)
    logs = owner.path / "ray" / "session_2026-01-01" / "logs"
    logs.mkdir(parents=True)
    serious = "[2026-01-01 10:00:00,000 C 1 2] client.cc:1: The raylet is gone"
    (logs / "python-core-driver-1.log").write_text(
        f"[2026-01-01 10:00:00,000 I 1 2] started\n{serious}\n"
        "[2026-01-01 10:00:00,000 E 1 2] logging.cc:1:     @     0x7f5ab1cc9d40  (unknown)\n"
    )
    owner.process.kill()
    _, said = owner.process.communicate()
    assert f"process {owner.process.pid} ended without stopping" in said
    assert said.count("\n") == 2
    assert f"python-core-driver-1.log: {serious}" in said


@pytest.mark.slow
def test_a_guard_has_nothing_to_say_of_an_end_in_order(short: Path) -> None:
    code = "from scalesim.deployments.run_folder import RunFolder as R\nwith R() as f: f.guard()"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert ended.stderr == b""


@pytest.mark.slow
def test_a_guard_ends_a_process_that_is_stopped_for_good(short: Path) -> None:
    owner = Owner("guard", "0.1")
    assert owner.guard is not None
    owner.process.send_signal(signal.SIGSTOP)
    owner.process.wait(60)
    owner.process.communicate()
    owner.guard.wait(60)
    assert owner.process.returncode == -signal.SIGKILL
    assert owner.is_gone()


@pytest.mark.slow
def test_a_guard_leaves_a_process_that_goes_on_in_time(short: Path) -> None:
    owner = Owner("guard", "600")
    owner.process.send_signal(signal.SIGSTOP)
    owner.process.send_signal(signal.SIGCONT)
    assert owner.process.poll() is None
    owner.kill()
    assert owner.guard is not None
    owner.guard.wait(60)
    assert owner.is_gone()


@pytest.mark.slow
def test_a_guard_waits_for_no_fork_of_its_process(short: Path) -> None:
    owner = Owner("guard", "600", "fork")
    owner.process.kill()
    owner.process.wait()
    assert owner.guard is not None
    owner.guard.wait(60)  # the fork holds the folder's lock and the guard's pipe all the while
    assert owner.is_gone()
    assert list(short.iterdir()) == []
    owner.process.communicate()  # ends the fork


def test_the_guard_outlives_what_its_folder_is_swept_of(short: Path) -> None:
    with RunFolder() as folder, folder.as_own_tmpdir():
        guard = folder.guard()
        assert psutil.pid_exists(guard)
        assert run_folder.processes_in(folder.path) == []


def test_what_is_started_beside_is_in_another_group(short: Path) -> None:
    group = os.getpgrp()
    with RunFolder() as folder:
        folder.guard()
        with folder.beside():
            child = subprocess.Popen(["sleep", "600"])
        assert os.getpgrp() == group
        if os.getsid(0) != os.getpid():
            assert os.getpgid(child.pid) != group
        child.kill()
        child.wait()


def test_a_folder_inside_a_folder_goes_with_it(short: Path) -> None:
    with RunFolder() as outer, outer.as_own_tmpdir():
        inner = RunFolder()
        assert outer.path in inner.path.parents
        segment = Path(f"/dev/shm/any_{inner.path.name}")
        segment.touch()
    assert not inner.path.exists()
    assert not segment.exists()
    inner.remove()
    assert list(short.iterdir()) == []


@pytest.mark.slow
def test_its_own_temporary_files_and_semaphores_are_in_it(short: Path) -> None:
    with RunFolder() as folder:
        with folder.as_own_tmpdir(), tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == folder.path
            semaphore = multiprocessing.get_context("spawn").Semaphore()
            assert folder.path.name in semaphore._semlock.name  # type: ignore[attr-defined]
            del semaphore
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == short
    assert os.environ["TMPDIR"] == str(short)


def test_a_long_path_for_temporary_files_is_not_used(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"{short}/{'x' * 80}")
    assert run_folder.root() == Path(f"/tmp/scalesim-{os.getuid()}")


def test_a_folder_that_cannot_be_made_is_said(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short / f"scalesim-{os.getuid()}").write_text("in the way")
    with pytest.raises(ConfigurationError, match="set TMPDIR"):
        RunFolder()


def test_who_has_no_home_gets_one(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with RunFolder() as folder, folder.as_tmpdir():
        assert Path.home().is_dir()
        assert folder.path in Path.home().parents
        assert os.environ["USER"]
    assert os.environ["HOME"] == "/nowhere"
    assert "USER" not in os.environ

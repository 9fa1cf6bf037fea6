"""Folders of running processes, removed with all that came of them once the process is gone.

A process holds a lock on its folder for as long as it lives. The next process to start on this
machine, and the guard of a stack, sweep the folders whose lock is not held: the processes
that have their TMPDIR inside, the shared memory named after it, the files.
"""

from __future__ import annotations

import fcntl
import getpass
import math
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from scalesim.deployments.sudden_end import sentence
from scalesim.errors import ConfigurationError

RAY_FITS = 30
"""Characters of a root in whose folders Ray may have a session: the 107 of a socket's path less the
77 that are added for Ray's longest one."""

SOCKETS_FIT = 80
"""Characters of a folder with sockets right in it, SGLang's and ours."""

_SHORT = Path("/tmp")  # noqa: S108 - our own folder is made in it, and checked
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - swept by names that only ours have
_DEAF_TO = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_LOOK_S = 1.0  # between two looks of a guard at its process
_ROUNDS = 5
_GUARD_S = 30.0  # longest a folder's process waits for its guard, which needs no more of it
_END_S = 3.0  # what processes get to end by themselves before they are killed


class RunFolder:
    """A folder of this process; a context manager that removes it.

    Made by sweeping what dead processes of this user left.

    Args:
        most: Characters of the root; longer ones give way to /tmp.

    Attributes:
        path: Absolute, readable by this user only.

    Raises:
        ConfigurationError: There is no place for it.
    """

    def __init__(self, most: int = SOCKETS_FIT) -> None:
        with _held(root(most)) as base:
            _sweep(base)
            self.path = Path(tempfile.mkdtemp(prefix="", dir=base))
            self._lock = _lock(self.path, fcntl.LOCK_NB)
        self._guard: subprocess.Popen[bytes] | None = None

    def guard(self, stopped_s: float = math.inf) -> int:
        """Leave a process behind that sweeps once this process is gone; return its id.

        However that goes. It leads a process group of its own; see `beside`. What is known of an
        end that was not the process's own doing it says where the process's errors go.

        Args:
            stopped_s: This process is killed once it was stopped (SIGSTOP) for so long: for those
                that others replace meanwhile.
        """
        command = [sys.executable, "-m", "scalesim.deployments.run_folder", str(self.path)]
        command += [str(os.getpid()), str(stopped_s)]
        # It inherits the mask: who ends everybody at once does not end it before its work is done.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _DEAF_TO)
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                # Not in the folder, or it would be swept too.
                env={**os.environ, "TMPDIR": str(self.path.parent.parent)},
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        return self._guard.pid

    @contextmanager
    def as_tmpdir(self) -> Iterator[None]:
        """Have everything started meanwhile keep its temporary files here, and end with it.

        So it does with its home, where this user has none. Temporary files of this process itself
        stay where they were.
        """
        tempfile.gettempdir()  # remembers it
        with _environment({"TMPDIR": str(self.path), **self._identity()}):
            yield

    @contextmanager
    def as_own_tmpdir(self) -> Iterator[None]:
        """Have this process's own temporary files and semaphores be here.

        Semaphores are named after the folder: they outlive a process that is killed.
        """
        former = tempfile.gettempdir()
        configuration = multiprocessing.current_process()._config  # type: ignore[attr-defined]
        prefix = configuration["semprefix"]
        with self.as_tmpdir():
            tempfile.tempdir = str(self.path)
            configuration["semprefix"] = f"/mp-{self.path.name}"
            try:
                yield
            finally:
                tempfile.tempdir = former
                configuration["semprefix"] = prefix

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Have everything started meanwhile be in the guard's process group.

        What is sent to this process's own group then reaches this process, which ends the others in
        their order. It leaves that group meanwhile; who leads a session cannot, and is not
        signalled with a group either.
        """
        assert self._guard is not None
        former = os.getpgrp()
        with suppress(OSError):
            os.setpgid(0, self._guard.pid)
        try:
            yield
        finally:
            with suppress(OSError):
                os.setpgid(0, former)

    def remove(self) -> None:
        """End what was started in it and remove it; safe to call twice."""
        if self._lock < 0:
            return
        if self.path.exists():  # not gone with one that it was in
            with _held(self.path.parent) as base:
                _clear(self.path)
                _leave(base)
        os.close(self._lock)
        self._lock = -1
        if self._guard is not None:
            with suppress(subprocess.TimeoutExpired):  # it will end by itself
                self._guard.communicate(b"\n", _GUARD_S)  # not closed alone: a fork may hold it
            self._guard = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _identity(self) -> dict[str, str]:
        """Return what a user without a home or a name is given: libraries ask for both."""
        variables = {}
        if not _has_home():
            home = self.path / "home"
            home.mkdir(exist_ok=True)
            variables["HOME"] = str(home)
        try:
            getpass.getuser()
        except (KeyError, OSError):
            variables["USER"] = str(os.getuid())
        return variables


def _has_home() -> bool:
    try:
        return os.access(Path.home(), os.W_OK)
    except RuntimeError:  # no HOME, and an unknown uid
        return False


def root(most: int = SOCKETS_FIT) -> Path:
    """Return where this user's run folders are; not made.

    It is in TMPDIR, or in /tmp where that has more than `most` characters.

    Raises:
        ConfigurationError: There is no folder for temporary files.
    """
    name = f"scalesim-{os.getuid()}"
    try:
        base = Path(tempfile.gettempdir()).absolute() / name
    except OSError as error:
        raise _no_place(error) from error
    return base if len(str(base)) <= most else _SHORT / name


def sweep(base: Path) -> None:
    """Remove what processes that are gone left in a root, and the root if that was all."""
    with _held(base):
        _sweep(base)
        _leave(base)


def _leave(base: Path) -> None:
    with suppress(OSError):  # others are in it
        base.rmdir()


def _sweep(base: Path) -> None:
    for folder in base.iterdir():
        with suppress(OSError):  # its process lives, or it is not a folder
            lock = _lock(folder, fcntl.LOCK_NB)
            _clear(folder)
            os.close(lock)


def _clear(folder: Path) -> None:
    ended: set[psutil.Process] = set()
    for _ in range(_ROUNDS):  # those that are ended may just have started others
        if not (new := set(processes_in(folder)) - ended):
            break
        _end(list(new))
        ended |= new
    for inner in folder.glob("scalesim-*/*"):  # of its processes, which have just ended
        _clear(inner)
    for segment in _SHARED_MEMORY.glob(f"*{folder.name}*"):
        segment.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that were started in a folder or write to it, and all below them.

    A process that changes its title, as Ray's do, writes over what it was started with, and may not
    have opened a file yet. This one is left out.
    """
    found = {
        process
        for process in psutil.process_iter()
        if any(place == folder or folder in place.parents for place in _places(process))
    }
    for process in list(found):
        with suppress(psutil.Error):
            found.update(process.children(recursive=True))
    return [process for process in found if process.pid != os.getpid()]


def _places(process: psutil.Process) -> Iterator[Path]:
    with suppress(psutil.Error, OSError):
        yield Path(process.environ().get("TMPDIR", "/"))
    with suppress(psutil.Error, OSError):
        yield from (Path(file.path) for file in process.open_files() if file.mode != "r")


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_END_S)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_END_S)


@contextmanager
def _held(base: Path) -> Iterator[Path]:
    """Hold a root, made where there is none: folders in it come and go one at a time."""
    while True:
        try:
            base.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _no_place(error) from error
        try:
            lock = _lock(base)
        except FileNotFoundError:  # another process has just removed it
            continue
        except OSError as error:
            raise _no_place(error) from error
        held = os.fstat(lock)
        try:
            if held.st_uid != os.getuid():
                raise ConfigurationError(f"{base} is another user's: remove it, or set TMPDIR")
            with suppress(FileNotFoundError):
                if os.path.samestat(held, base.lstat()):
                    yield base
                    return
        finally:
            os.close(lock)


def _lock(folder: Path, more: int = 0) -> int:
    """Return a descriptor that holds a folder's lock; the kernel lets go of a dead process's.

    Raises:
        OSError: It is not a folder, or another process holds it and `more` says not to wait.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | more)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    former = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _no_place(error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"there is no place for temporary files ({error}): set TMPDIR to a folder that this user "
        "can write to"
    )


def _watch(folder: Path, owner: int, stopped_s: float) -> None:
    """Wait until a folder's process has ended or closed the pipe, and clear up after it.

    Its children may hold both the pipe and the lock still, where they are forks of it.
    """
    looks = 0  # that found it stopped, one after the other
    while os.getppid() == owner and not select.select([sys.stdin], [], [], _LOOK_S)[0]:
        with suppress(psutil.Error, OSError):
            stopped = psutil.Process(owner).status() == psutil.STATUS_STOPPED
            looks = looks + 1 if stopped else 0
            if looks * _LOOK_S > stopped_s and os.getppid() == owner:
                os.kill(owner, signal.SIGKILL)
    if not _stopped_itself():
        with suppress(OSError):  # nobody reads it any more
            print(sentence(owner, folder), file=sys.stderr, flush=True)
    with _held(folder.parent):
        _clear(folder)
    sweep(folder.parent)


def _stopped_itself() -> bool:
    """Return whether the process said so: it writes a byte, and only closes the pipe if it dies."""
    return bool(select.select([sys.stdin], [], [], 0)[0]) and os.read(0, 1) == b"\n"


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))

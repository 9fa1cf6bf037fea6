"""Work in forks of this process: each begins in the same state, and one that dies is a result."""

from __future__ import annotations

import os
import select
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import msgspec

Work = Callable[[], dict[str, Any]]

_TAIL = 12
"""Lines of a traceback that are kept."""


class _Child:
    """A fork at work."""

    def __init__(self, work: Work, until: float) -> None:
        self.until = until
        self._answer = b""
        self._read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._read)
            _report(write, work)
        os.close(write)

    def fileno(self) -> int:
        """Return what can be read once it says something."""
        return self._read

    def take(self) -> bool:
        """Take over what it says; return whether that was all."""
        piece = os.read(self._read, 2**16)
        self._answer += piece
        return not piece

    def end(self) -> dict[str, Any]:
        """End it if it runs, and return what its work returned."""
        complete = time.monotonic() < self.until
        if not complete:
            os.kill(self._pid, 9)
        os.close(self._read)
        os.waitpid(self._pid, 0)
        if not (complete and self._answer):
            return {"fault": "the process died or did not end"}
        return msgspec.msgpack.decode(self._answer, type=dict[str, Any])


def in_fork(work: Work, timeout_s: float = 300.0) -> dict[str, Any]:
    """Return what work returns in a fork of this process, `fault` where it raised or died."""
    return next(in_forks([work], 1, timeout_s))


def in_forks(works: Sequence[Work], at_once: int, timeout_s: float) -> Iterator[dict[str, Any]]:
    """Yield what each work returns, as `in_fork` does, in their order, some forks at a time."""
    running: dict[int, _Child] = {}
    found: dict[int, dict[str, Any]] = {}
    begun = 0
    try:
        for number in range(len(works)):
            while number not in found:
                while begun < len(works) and len(running) < at_once:
                    running[begun] = _Child(works[begun], time.monotonic() + timeout_s)
                    begun += 1
                left_s = min(child.until for child in running.values()) - time.monotonic()
                ready, _, _ = select.select([*running.values()], [], [], max(0.0, left_s))
                for place, child in list(running.items()):
                    over = time.monotonic() >= child.until
                    if over or (child in ready and child.take()):
                        found[place] = running.pop(place).end()
            yield found.pop(number)
    finally:
        for child in running.values():
            child.until = 0.0
            child.end()


def _report(write: int, work: Work) -> NoReturn:
    """Write what work returns and end the process, whatever happens: its caller is another's."""
    try:
        try:
            found = msgspec.msgpack.encode(work())
        except BaseException as error:
            lines = traceback.format_exception(error)[-_TAIL:]
            fault = f"{type(error).__name__}: {error}"
            found = msgspec.msgpack.encode({"fault": fault, "where": lines})
        with os.fdopen(write, "wb") as pipe:
            pipe.write(found)
    finally:
        os._exit(0)

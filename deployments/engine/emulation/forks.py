"""Plays of one engine in forks of its process: each begins at the same state and may die."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

_TAIL = 12
"""Lines of a traceback that are kept."""


def in_fork(work: Callable[[], dict[str, Any]], timeout_s: float = 300.0) -> dict[str, Any]:
    """Return what work returns in a fork of this process, `fault` where it raised or died."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _report(write, work)
    os.close(write)
    answer = _read(read, pid, time.monotonic() + timeout_s)
    os.waitpid(pid, 0)
    if not answer:
        return {"fault": "the process died or did not end"}
    return msgspec.msgpack.decode(answer, type=dict[str, Any])


def _report(write: int, work: Callable[[], dict[str, Any]]) -> NoReturn:
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


def _read(read: int, pid: int, until: float) -> bytes:
    """Return all that a child writes; end it where it takes too long."""
    import select

    answer = b""
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                os.kill(pid, 9)
                return b""
            piece = pipe.read(2**16)
            if not piece:
                return answer
            answer += piece

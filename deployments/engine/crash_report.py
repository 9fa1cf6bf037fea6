"""What a crashing scheduler leaves behind: which requests it was working on."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec


def reporting_to(path: Path, run: Callable[[], None]) -> None:
    """Run an event loop; if it raises, write the ids of the requests it worked on to `path`.

    Raises:
        Exception: What `run` raised.
    """
    try:
        run()
    except Exception as error:
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(worked_on(error.__traceback__)))
        os.replace(part, path)
        raise


def end_at_once() -> None:
    """Have a segmentation fault show Python's own traceback and end the process; nothing more.

    TVM's runtime, which grammars bring along, first looks up the names of all C functions on the
    stack: for seconds in which the engine is neither dead nor alive. Call it in the main thread.
    """
    with suppress(ImportError):
        import tvm_ffi  # noqa: F401 - its handler is there before ours, and not put over it later
    faulthandler.disable()
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    faulthandler.enable()


def worked_on(trace: TracebackType | None) -> list[str]:
    """Return ids of the requests that the innermost frame which has any was working on.

    A frame with a whole batch was working on all of it, whatever single request it last looked at.
    """
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    for frame in reversed(frames):
        found = list(_batches(frame.f_locals)) or list(_single(frame.f_locals))
        if found:
            return sorted(set(found))
    return []


def _batches(names: dict[str, Any]) -> Iterator[str]:
    for value in names.values():
        requests = getattr(value, "reqs", None)
        if isinstance(requests, list):
            yield from (request.rid for request in requests if _has_id(request))


def _single(names: dict[str, Any]) -> Iterator[str]:
    return (value.rid for value in names.values() if _has_id(value))


def _has_id(value: object) -> bool:
    return isinstance(getattr(value, "rid", None), str)

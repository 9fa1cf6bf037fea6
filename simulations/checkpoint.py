"""How an arm ended, on disk: a comparison that died does not run it again.

What an arm has done before its end is in its journal, see `driver/journal.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from scalesim.sender import Stats
from scalesim.simulations.arm_run import Run
from scalesim.simulations.call_table import CALL, CallTable


class Ending(NamedTuple):
    """Results of a completed arm; see `ArmOutcome`."""

    run: Run
    status: dict[str, Any]


def read_ending(folder: Path) -> Ending | None:
    """Return how an arm ended, None where it has not."""
    file = _file(folder)
    if not file.exists():
        return None
    plain, status = msgspec.msgpack.decode(file.read_bytes())
    run = Run(**plain)
    return Ending(
        run._replace(
            warmup=_calls(run.warmup),
            calls=_calls(run.calls),
            step_s=np.array(run.step_s),
            hints=Stats(*run.hints),
        ),
        status,
    )


def write_ending(folder: Path, ending: Ending) -> None:
    """Keep how an arm ended, whole or not at all; the folder is made if need be."""
    run, status = ending
    tables = {"warmup": _plain(run.warmup), "calls": _plain(run.calls)}
    content = ({**run._asdict(), **tables, "step_s": run.step_s.tolist()}, status)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = _file(folder).with_suffix(".tmp")
    unfinished.write_bytes(msgspec.msgpack.encode(content))
    unfinished.replace(_file(folder))


def _file(folder: Path) -> Path:
    return folder / "end.msgpack"


def _plain(calls: CallTable) -> Any:
    return calls.rows.tobytes(), calls.texts, calls.errors


def _calls(plain: Any) -> CallTable:
    rows, texts, errors = plain
    return CallTable(np.frombuffer(rows, CALL), texts, errors)

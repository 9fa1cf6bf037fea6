"""What an arm has done so far, on disk: a run that died goes on after its last completed step.

Agents' state in the engines is not kept: it is computed again by the warm-up of the next run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from scalesim.sender import Stats
from scalesim.simulations.call_table import CALL, CallTable


class Step(NamedTuple):
    """One completed step.

    Attributes:
        calls: Its calls.
        seconds: From its begin to its last answer.
    """

    calls: CallTable
    seconds: float


class Ending(NamedTuple):
    """Results of a completed arm besides its steps; see `Run` and `ArmOutcome`."""

    warmup: CallTable
    warmup_s: float
    hints: Stats
    status: dict[str, Any]


class Checkpoint:
    """One arm's completed steps, a file each, written whole or not at all.

    Args:
        folder: Made if need be; must be of runs with the same settings only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def steps(self) -> list[Step]:
        """Return the completed steps, from the first on."""
        done: list[Step] = []
        while (file := self._step(len(done) + 1)).exists():
            calls, seconds = msgspec.msgpack.decode(file.read_bytes())
            done.append(Step(_calls(calls), seconds))
        return done

    def save(self, step: int, done: Step) -> None:
        """Keep a completed step; steps count from 1."""
        _write(self._step(step), (_plain(done.calls), done.seconds))

    def ending(self) -> Ending | None:
        """Return how the arm ended, None where it has not."""
        if not self._end.exists():
            return None
        warmup, warmup_s, hints, status = msgspec.msgpack.decode(self._end.read_bytes())
        return Ending(_calls(warmup), warmup_s, Stats(*hints), status)

    def end(self, ending: Ending) -> None:
        """Keep how the arm ended."""
        _write(self._end, ending._replace(warmup=_plain(ending.warmup)))

    def _step(self, step: int) -> Path:
        return self.folder / f"step-{step:06}.msgpack"

    @property
    def _end(self) -> Path:
        return self.folder / "end.msgpack"


def _plain(calls: CallTable) -> Any:
    return calls.rows.tobytes(), calls.texts, calls.errors


def _calls(plain: Any) -> CallTable:
    rows, texts, errors = plain
    return CallTable(np.frombuffer(rows, CALL), texts, errors)


def _write(file: Path, content: Any) -> None:
    unfinished = file.with_suffix(".tmp")
    unfinished.write_bytes(msgspec.msgpack.encode(content))
    unfinished.replace(file)

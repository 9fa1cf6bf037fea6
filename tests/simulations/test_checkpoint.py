"""What a run leaves on disk, and what it makes of what it finds there."""

from pathlib import Path

import numpy as np

from scalesim.sender import Stats
from scalesim.simulations.call_table import CALL, CallTable
from scalesim.simulations.checkpoint import Checkpoint, Ending, Step


def calls(step: int) -> CallTable:
    rows = np.zeros(2, CALL)
    rows["step"], rows["replica"] = step, "r1"
    return CallTable(rows, ["w1", ""], ["", "refused"])


def test_steps_come_back_as_they_were(tmp_path: Path) -> None:
    for step in (1, 2):
        Checkpoint(tmp_path).save(step, Step(calls(step), 0.5 * step))
    first, second = Checkpoint(tmp_path).steps()
    assert (first.seconds, second.seconds) == (0.5, 1.0)
    assert second.calls.rows.tolist() == calls(2).rows.tolist()
    assert second.calls[1:] == calls(2)[1:]


def test_steps_after_a_gap_are_not_believed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    for step in (1, 3):
        checkpoint.save(step, Step(calls(step), 1.0))
    assert len(checkpoint.steps()) == 1


def test_a_step_that_was_half_written_is_not_there(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(1, Step(calls(1), 1.0))
    (written,) = tmp_path.iterdir()
    written.rename(written.with_suffix(".tmp"))
    assert checkpoint.steps() == []


def test_an_ending_comes_back(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.ending() is None
    checkpoint.end(Ending(calls(0), 2.5, Stats(sent=3), {"agents": {"total": 2}}))
    ending = Checkpoint(tmp_path).ending()
    assert ending is not None
    assert ending.warmup.texts == ["w1", ""]
    assert ending[1:] == (2.5, Stats(sent=3), {"agents": {"total": 2}})

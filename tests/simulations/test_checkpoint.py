"""What an arm leaves on disk at its end, and what is made of it."""

from pathlib import Path

import numpy as np

from scalesim.sender import Stats
from scalesim.simulations.arm_run import Run
from scalesim.simulations.call_table import CALL, CallTable
from scalesim.simulations.checkpoint import Ending, read_ending, write_ending


def calls(step: int) -> CallTable:
    rows = np.zeros(2, CALL)
    rows["step"], rows["replica"] = step, "r1"
    return CallTable(rows, ["w1", ""], ["", "refused"])


RUN = Run(calls(0), 2.5, calls(1), np.array([0.5, 1.0]), 2.0, 0.5, Stats(sent=3), 1)


def test_an_ending_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "scalesim"
    assert read_ending(folder) is None
    write_ending(folder, Ending(RUN, {"agents": {"total": 2}}))
    ending = read_ending(folder)
    assert ending is not None
    assert ending.status == {"agents": {"total": 2}}
    run = ending.run
    for table, expected in ((run.warmup, RUN.warmup), (run.calls, RUN.calls)):
        assert table.rows.tolist() == expected.rows.tolist()
        assert table[1:] == expected[1:]
    assert run.step_s.tolist() == [0.5, 1.0]
    assert (run.warmup_s, *run[4:]) == (RUN.warmup_s, *RUN[4:])
    assert run.busy_s == 1.5


def test_an_ending_that_was_half_written_is_not_there(tmp_path: Path) -> None:
    write_ending(tmp_path, Ending(RUN, {}))
    (written,) = tmp_path.iterdir()
    written.rename(written.with_suffix(".tmp"))
    assert read_ending(tmp_path) is None

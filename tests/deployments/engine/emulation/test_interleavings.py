"""Random turns on a real scheduler over a device that takes time: one run of each kind of state."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.engine.rigs import RIGS

pytestmark = pytest.mark.engine


_LONG_S = 900.0  # fifteen seconds where nothing else runs


@pytest.mark.timeout(_LONG_S + 60)
@pytest.mark.parametrize("rig", ["prefixes", "adapters", "storage"])
def test_every_answer_is_right_and_nothing_is_left_behind(rig: str, tmp_path: Path) -> None:
    assert rig in RIGS
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.engine.interleavings"]
    asked = [f"--rig={rig}", "--seed=7", "--requests=1", "--no-shrink", f"--out={tmp_path}"]
    done = subprocess.run(
        [*command, *asked], capture_output=True, text=True, check=False, timeout=_LONG_S
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = json.loads((tmp_path / f"interleavings-{rig}.json").read_text())["figures"]
    assert found["wrong_pages_seen"] == 1.0  # or no answer could be wrong
    assert found["outputs"] == found["equal"] > 100

"""The worked page on jobs: its script, as a job of a stack finds its environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate.text import ROOT
from tests.support.fake_stack import FakeStack

PAGE = (ROOT / "docs/operations/jobs.md").read_text()
STEPS = 2


@pytest.mark.slow
def test_the_script_needs_neither_an_address_nor_ray(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "ray" not in code
    script = tmp_path / "town.py"
    shorter = code.replace("range(100):", f"range({STEPS}):")
    assert shorter != code
    script.write_text(shorter)
    with FakeStack() as stack:
        given = {"SCALESIM_BASE_URL": stack.base_url, "SCALESIM_API_KEY": "key-of-the-stack"}
        done = subprocess.run(
            [sys.executable, str(script)],
            env=os.environ | given,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    asked = [f"villager-{n}" for step in range(STEPS) for n in range(step % 7, 100, 7)]
    assert stack.callers == [(agent, "town") for agent in asked]
    hints = [body for path, body in stack.received if path == "/v1/simulations/town/distances"]
    assert hints[-1]["epoch"] == STEPS - 1
    assert {each["Authorization"] for each in stack.headers} == {"Bearer key-of-the-stack"}

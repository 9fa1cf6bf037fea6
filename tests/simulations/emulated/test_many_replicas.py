"""Several emulated engines behind one controller, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.engine

PROGRAM = """
import json

import torch

from scalesim.deployments.engine.emulation.inline import import_engine
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import EmulatedCase
from scalesim.simulations.emulated.many_replicas import row_of, run_fleet

torch.set_num_threads(1)
import_engine()
case = EmulatedCase(agents=16, prefix=512, output=4, steps=3, think_s=0.1, device_share=0.5)
emulation = EmulationSettings.of("h100", 1.0)
for routing in ("hashed", "hashed", "least loaded", "leveled"):
    found = run_fleet(case, 2, "scalesim", routing, emulation)
    print(json.dumps(row_of(2, routing, "scalesim", found)))
"""


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """The same society by three ways to send its requests, one of them twice."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, check=True, timeout=280, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["routing"] for row in rows] == ["hashed", "hashed", "least loaded", "leveled"]
    return rows


def test_text_is_equal_wherever_requests_go(runs: list[dict[str, Any]]) -> None:
    assert len({row["answers"] for row in runs}) == 1


def test_a_run_is_the_same_again(runs: list[dict[str, Any]]) -> None:
    assert runs[0] == runs[1]


def test_state_is_found_where_agents_live_and_not_where_the_queue_is_short(
    runs: list[dict[str, Any]],
) -> None:
    hashed, _, least_loaded, leveled = runs
    assert hashed["device_share"] > 0.9 > least_loaded["device_share"]
    assert least_loaded["busy_s"] > hashed["busy_s"]
    assert leveled["largest_share"] <= hashed["largest_share"]

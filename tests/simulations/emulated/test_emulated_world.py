"""A town on the emulated GPU: who may go on does, and nobody says anything else for it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def towns() -> dict[str, dict[str, Any]]:
    """What the runs did, in a process of its own: SGLang keeps state in modules."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.small_emulated_town"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    assert not [one for runs in found.values() for one in runs.values() if "fault" in one], found
    return found


@pytest.fixture(scope="module")
def runs(towns: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return towns["town"]


def test_all_say_the_same(runs: dict[str, Any]) -> None:
    assert {one["text"] for one in runs.values()} == {runs["barrier"]["text"]}
    assert {one["calls"] for one in runs.values()} == {runs["barrier"]["calls"]}
    assert runs["barrier"]["calls"] > 10


def test_out_of_order_more_run_at_once_and_end_earlier(runs: dict[str, Any]) -> None:
    barrier, causal, oracle = (runs[name] for name in ("barrier", "causal", "oracle"))
    assert causal["at_once"] > 1.1 * barrier["at_once"]
    assert causal["busy_s"] < 0.95 * barrier["busy_s"]
    assert oracle["busy_s"] < barrier["busy_s"]


def test_a_run_is_the_same_again(runs: dict[str, Any]) -> None:
    assert runs["again"] == runs["causal"]


def test_distances_keep_on_the_device_what_recency_lets_go(
    towns: dict[str, dict[str, Any]],
) -> None:
    hicache, scalesim = (towns["crowd"][arm] for arm in ("hicache", "scalesim"))
    assert scalesim["text"] == hicache["text"]
    assert scalesim["found"]["device"] > hicache["found"]["device"] + 0.2

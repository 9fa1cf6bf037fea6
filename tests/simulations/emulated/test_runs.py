"""Arms on an emulated GPU: the real scheduler in forks of one process, and what its passes took."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from scalesim.deployments.engine.emulation.gpu_times import COPY_S, GpuTimes
from scalesim.deployments.engine.emulation.times import PassWork
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import EmulatedCase

pytestmark = pytest.mark.engine

AGENTS, ACTIVE, PREFIX, OUTPUT = 20, 4, 4096, 4
LAYERS, TOKEN, LINK = 32, 131_072, 64e9 * 0.78


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """One case in three arms, in a process of its own: SGLang keeps state in modules."""
    fields = {"agents": AGENTS, "prefix": PREFIX, "output": OUTPUT, "steps": 3, "think_s": 0.1}
    command = [sys.executable, "-m", "scalesim.simulations.emulated", "--json"]
    command += ["--arms", "hicache,scalesim,perfect"]
    for name, value in fields.items():
        command += ["--case", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=280)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def arms(written: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["arm"]: row for row in written["rows"]}


def test_it_is_labelled_as_what_it_is(written: dict[str, Any]) -> None:
    assert written["emulated"] == "h100:llama-3.1-8b"
    assert written["limits"].startswith("emulated")
    assert {row["device"] for row in written["rows"]} == {"emulated-h100:llama-3.1-8b"}


def test_distances_are_between_recency_and_perfect_memory(arms: dict[str, dict[str, Any]]) -> None:
    hicache, scalesim, perfect = (arms[arm] for arm in ("hicache", "scalesim", "perfect"))
    assert hicache["found"]["host"] > 0.5 * hicache["found"]["total"]
    assert scalesim["found"]["device"] > 0.7 * scalesim["found"]["total"]
    assert perfect["busy_s"] <= scalesim["busy_s"] < hicache["busy_s"]


def test_tokens_are_the_same_in_all_arms(arms: dict[str, dict[str, Any]]) -> None:
    assert len({row["answers"] for row in arms.values()}) == 1


def test_passes_take_what_the_formula_says(arms: dict[str, dict[str, Any]]) -> None:
    size = EmulatedCase(prefix=PREFIX, output=OUTPUT).size
    context = ACTIVE * (1 + size.private + size.observation + 2)
    times = GpuTimes(EmulationSettings.of("h100", 1.0))
    seconds = times.forward_s(PassWork(0, ACTIVE, context, context))
    decodes = [
        end - begin for name, _, begin, end in arms["perfect"]["timeline"] if "decode" in name
    ]
    assert len(decodes) == OUTPUT - 1
    assert decodes == pytest.approx([seconds] * len(decodes), rel=0.05)


def test_loads_take_the_bytes_of_the_named_model(arms: dict[str, dict[str, Any]]) -> None:
    row = arms["hicache"]
    pieces = [(end - begin) for name, _, begin, end in row["timeline"] if name == "a load"]
    assert pieces
    agents = round(sum(pieces) / (PREFIX * TOKEN / LINK))
    assert sum(pieces) == pytest.approx(
        agents * PREFIX * TOKEN / LINK + len(pieces) * LAYERS * COPY_S, rel=0.05
    )

"""Trials that were measured become cases of the same size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu.engines import Setup
from benchmarks.simulations.beside_measured import trials
from scalesim.simulations.workload import PromptSize

SETUP = Setup("llama-3.1-8b", 125, PromptSize(2048, 64, 16), host_share=1.1)


def line(*arms: str, **setup: Any) -> dict[str, Any]:
    run = {"steps": 6, "busy_s": 2.0, "ttft_s": {"p50": 0.1}}
    return {
        "setup": SETUP._replace(**setup)._asdict(),
        "workload": {
            "agents": 250,
            "size": [1024, 64, 16],
            "think_s": 0.2,
            "seed": 3,
            "active": 0.2,
        },
        "arms": {arm: {"runs": [run]} for arm in arms},
    }


def test_a_trial_has_the_tiers_that_were_measured(tmp_path: Path) -> None:
    figures = {
        "links": {"GB_per_s": 50},
        "small": line("hicache", "scalesim", "stock"),
        "one arm alone": line("stock"),
        "with adapters": line("hicache", "scalesim", adapters=8),
    }
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"figures": figures}))
    (trial,) = trials([file])
    assert trial.name == "small"
    assert trial.case.device_tokens == SETUP.device_tokens
    host_tokens = trial.case.host_share * trial.case.agents * trial.case.size.total
    assert round(host_tokens) == round(1.1 * 125 * 2128)
    assert (trial.case.steps, trial.case.seed, trial.case.size) == (6, 3, PromptSize(1024, 64, 16))

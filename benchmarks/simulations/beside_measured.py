"""The trials of a run on a GPU, emulated, beside what was measured there.

Run: python -m benchmarks.simulations.beside_measured [FILE of benchmarks.gpu.first_run ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.engines import Setup
from benchmarks.results import FOLDER, write
from scalesim.policies.capacity.calibration_file import read_calibration
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import EmulatedCase
from scalesim.simulations.emulated.runs import runs
from scalesim.simulations.workload import PromptSize

_ARMS = ("hicache", "scalesim")
_CALIBRATION = FOLDER / "simulations" / "h200.calibration.json"
_MEASURED = [FOLDER / "gpu" / name for name in ("first_run.json", "first_run-seed-1.json")]


class MeasuredTrial(NamedTuple):
    """A trial of `benchmarks.gpu.first_run` and the case that it is here."""

    name: str
    case: EmulatedCase
    measured: dict[str, Any]


def trials(files: Sequence[Path]) -> Iterator[MeasuredTrial]:
    """Yield the trials in which both arms were measured, adapters left out."""
    for file in files:
        for name, line in json.loads(file.read_text())["figures"].items():
            if not isinstance(line, dict) or not set(_ARMS) <= line.get("arms", {}).keys():
                continue
            setup = Setup(**line["setup"])._replace(size=PromptSize(*line["setup"]["size"]))
            if setup.adapters:
                continue
            measured = {arm: line["arms"][arm]["runs"][0] for arm in _ARMS}
            yield MeasuredTrial(
                name, _case(setup, line["workload"], measured["hicache"]["steps"]), measured
            )


def _case(setup: Setup, asked: dict[str, Any], steps: int) -> EmulatedCase:
    size = PromptSize(*asked["size"])
    of_all = asked["agents"] * size.total
    return EmulatedCase(
        agents=asked["agents"],
        prefix=size.private,
        observation=size.observation,
        output=size.output,
        active=asked["active"],
        steps=steps,
        device_share=(setup.device_tokens + 0.5) / of_all,
        host_share=setup.host_share * setup.agents * setup.size.total / of_all,
        think_s=asked["think_s"],
        concurrency=setup.concurrency,
        seed=asked["seed"],
    )


def main() -> None:
    """Emulate all trials of the files given, print and write them."""
    played = list(trials([Path(name) for name in sys.argv[1:]] or _MEASURED))
    calibration = asdict(read_calibration(_CALIBRATION))
    emulation = EmulationSettings.of("h200:llama-3.1-8b", 1.0)
    emulation = emulation.model_copy(update={"calibration": calibration})
    rows = []
    with tempfile.TemporaryDirectory(prefix="scalesim-emulated-") as folder:
        found = runs([trial.case for trial in played], _ARMS, emulation, Path(folder))
        for number, (case, arm, figures) in enumerate(found):
            trial = played[number // len(_ARMS)]
            measured = trial.measured[arm]
            row = {
                "trial": trial.name,
                "seed": case.seed,
                "arm": arm,
                "measured_busy_s": measured["busy_s"],
                "emulated_busy_s": round(figures["busy_s"], 3),
                "off": round(figures["busy_s"] / measured["busy_s"] - 1, 3),
                "measured_ttft_s": measured["ttft_s"],
                "emulated_ttft_s": {q: round(s, 4) for q, s in figures["ttft_s"].items()},
                "emulated_steps_s": [round(seconds, 4) for seconds in figures["steps"]],
                "emulated_found": figures["found"],
                "emulated_transfers": figures["transfers"],
            }
            print({key: row[key] for key in list(row)[:8]}, flush=True)
            rows.append(row)
    more = {"emulated": "h200:llama-3.1-8b", "calibration": calibration}
    write("emulated_h200", rows, FOLDER / "simulations", **more)


if __name__ == "__main__":
    main()

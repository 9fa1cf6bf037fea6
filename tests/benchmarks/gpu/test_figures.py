"""What the harness makes of its measurements."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.gpu.answer_check import Reference, Verdict
from benchmarks.gpu.calibrate import calibration
from benchmarks.gpu.engine_caller import Reply
from benchmarks.gpu.noise import Noise
from benchmarks.gpu.prices import Prices
from benchmarks.gpu.result_file import ResultFile
from benchmarks.gpu.runs_summary import comparison
from benchmarks.gpu.shapes import SHAPES, folder_of, parameters_of
from benchmarks.gpu.sweep import stops_paying
from benchmarks.gpu.workloads import CLASSES, played
from scalesim.cli.plan import app as plan
from scalesim.headers import CachedTokens
from scalesim.policies.capacity.hardware import GPUS, LLMS
from scalesim.simulations.workload import PromptSize
from scalesim.transports.transport import Report

REFERENCE = Reference([5, 6, 7], [-1.0, -2.0, -3.0], [9, 8, 4], [0.5, 1e-6, 0.5])


@pytest.mark.parametrize(
    ("tokens", "logprobs", "verdict"),
    [
        ([5, 6, 7], [-1.0, -2.0, -3.0], Verdict.EQUAL),
        ([5, 6, 7], [-1.0, -2.1, -3.0], Verdict.WRONG),
        ([5, 8, 1], [-1.0, -2.0, -9.0], Verdict.TIE),
        ([5, 3, 1], [-1.0, -2.0, -9.0], Verdict.WRONG),
        ([9, 6, 7], [-1.5, -2.0, -3.0], Verdict.WRONG),
        ([5, 6], [-1.0, -2.0], Verdict.WRONG),
    ],
)
def test_an_answer_is_judged_by_logprobs_up_to_where_it_differs(
    tokens: list[int], logprobs: list[float], verdict: Verdict
) -> None:
    meta = {"output_token_logprobs": [(value, 0, None) for value in logprobs]}
    assert REFERENCE.judge(Reply(tokens, CachedTokens(), meta), 1e-4) is verdict


@pytest.mark.parametrize("sigma", [0.0, 1.0, math.inf])
def test_noise_keeps_what_is_never_due(sigma: float) -> None:
    distances = np.array([0.0, 1.0, 2.0, 8.0, np.inf], np.float32)
    report = Report(3, list("abcde"), distances)
    heard = Noise(sigma, seed=1)(report)
    assert (heard.epoch, heard.ids) == (3, report.ids)
    assert heard.distances.dtype == np.float32
    assert np.isinf(heard.distances).sum() == 1
    assert (heard.distances >= 0).all()
    assert np.array_equal(heard.distances, distances) == (sigma == 0.0)


def _run(busy_s: float, tokens: str = "t") -> dict:
    ttft = {q: busy_s for q in ("p50", "p95", "p99")}
    return {"busy_s": busy_s, "wall_s": busy_s + 1, "ttft_s": ttft, "tokens_sha256": tokens}


def test_gains_are_compared_seed_by_seed() -> None:
    arms = {"hicache": [_run(4), _run(9), _run(6)], "scalesim": [_run(2), _run(3), _run(6, "u")]}
    (gain,) = comparison(arms).values()
    assert gain["speedup"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert gain["ttft_saved"]["p95"]["median"] == 0.5
    assert gain["same_tokens"] == 2


def test_where_it_stops_paying_is_named() -> None:
    def line(speedup: float) -> dict:
        return {"gains": {"scalesim over hicache": {"speedup": {"median": speedup}}}}

    lines = {"middle": line(1.5), "noise inf": line(0.98), "activity 0.5": line(1.01)}
    found = stops_paying(lines)
    assert found["noise"] == {"speedup": {"0": 1.5, "inf": 0.98}, "does_not_pay_at": ["inf"]}
    assert found["activity"]["does_not_pay_at"] == ["0.5"]
    assert found["share"]["does_not_pay_at"] == []


def test_the_result_file_is_whole_after_every_figure(tmp_path: Path) -> None:
    results = ResultFile("arms", tmp_path, minutes=1.0)
    assert results.room("first", 0.0)
    assert not results.room("too long", 100.0)
    results.add("a", 1)
    written = json.loads((tmp_path / "arms.json").read_text())
    assert written["figures"] == {"a": 1}
    assert written["left_out_for_time"] == ["too long"]
    assert written["kernels"]


def test_shapes_are_the_real_ones(tmp_path: Path) -> None:
    for name in SHAPES:
        folder, args = folder_of(name, tmp_path)
        assert args == {"load_format": "dummy"}
        assert [file.name for file in folder.iterdir()] == ["config.json"]
    folder, _ = folder_of("llama-3.1-8b", tmp_path)
    embeddings = 128256 * 4096  # looked up, not multiplied
    assert parameters_of(folder) + embeddings == pytest.approx(LLMS[folder.name].parameters, 0.01)


@pytest.mark.slow
def test_plan_reads_the_calibration(tmp_path: Path) -> None:
    found = Prices(3e-5, 0.01, 32, 2100, 40e9, 0.002)
    values = calibration(found, GPUS["h100"], 8_030_000_000, 131072, 5e9)
    assert values["link_share"] == pytest.approx(0.625)
    assert values["prefill_share"] == pytest.approx(0.541, abs=0.001)
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps(values))
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"step": 0, "agent": "a"}\n{"step": 1, "agent": "b"}\n')
    asked = ["--trace", str(trace), "--calibration", str(file), "--policy", "lru", "--json"]
    answer = CliRunner().invoke(plan, asked)
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.output)["calibration"]["link_share"] == pytest.approx(0.625)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_played(name: str) -> None:
    run = played(name, 16, 20, PromptSize(32, 8, 2), seed=3)
    workload = run.workload
    calls = sum(len(workload.schedule.calls(step)) for step in range(1, workload.steps + 1))
    assert calls >= 15
    assert len(workload.agents) == 16
    assert workload.name == f"{name}-16-32-8-2-3"

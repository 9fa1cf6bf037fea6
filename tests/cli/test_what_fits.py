"""`scalesim doctor`: what fits on machines that are made up."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scalesim.cli import doctor, services
from scalesim.cli.what_fits import fit_checks
from scalesim.deployments.machine import Machine
from scalesim.deployments.machine.gpus import Gpu
from scalesim.deployments.machine.memory import Memory
from scalesim.deployments.random_model import build
from scalesim.policies.capacity.hardware import GPUS, LLMS, Calibration
from scalesim.policies.capacity.roofline import RooflineEngine
from scalesim.settings import StackSettings

GIB = 2**30


def stack(replicas: int = 1, **engine: Any) -> StackSettings:
    values = {"model_path": "llama-3.1-8b", **engine}
    return StackSettings.model_validate({"engine": values, "replicas": replicas})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Eight H100 and two TiB."""
    card = int(GPUS["h100"].memory_bytes)
    gpus = tuple(Gpu("H100", card, card) for _ in range(8))
    made_up = Machine(Memory(2048 * GIB, 2000 * GIB), gpus, 64 * GIB)
    monkeypatch.setattr("scalesim.deployments.machine.look", lambda: made_up)
    return made_up


@pytest.mark.usefixtures("machine")
def test_tiers_and_agents_of_a_large_machine() -> None:
    fit, agents = fit_checks(stack(8), 2048)
    assert fit.found == (
        "llama-3.1-8b on 1 GPU, 8 engines here: 419,019 device tokens (55 GB), 1,468,006 in the "
        "host tier (192 GB)"
    )
    assert agents.found == "204 on the device and 716 in host memory of each engine"
    planned = RooflineEngine(GPUS["h100"], LLMS["llama-3.1-8b"], Calibration())
    assert fit.figures["device_tokens"] == int(planned.kv_bytes / 131_072)  # as `plan` has it


@pytest.mark.usefixtures("machine")
def test_what_does_not_fit_comes_with_the_way_out() -> None:
    (fit,) = fit_checks(stack(8, host_ratio=8.0), 2048)
    assert (fit.ok, fit.advice) == (False, "use host_ratio <= 4.9, or leave it out")
    assert "host_ratio 8 needs 439 GB" in fit.found
    (fit,) = fit_checks(stack(model_path="llama-3.1-70b"), 2048)
    assert fit.advice.startswith("use engine.tp_size >= 2")
    fit, _ = fit_checks(stack(4, model_path="llama-3.1-70b", tp_size=4), 2048)
    assert (fit.ok, fit.figures["engines"]) == (True, 2)
    (fit,) = fit_checks(stack(model_path="no/model"), 2048)
    assert "not known" in fit.found


def test_a_machine_without_the_gpus_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = Machine(Memory(64 * GIB, 60 * GIB), (), 64 * GIB)
    monkeypatch.setattr("scalesim.deployments.machine.look", lambda: made_up)
    (fit,) = fit_checks(stack(device="cuda"), 2048)
    assert (fit.ok, "no GPU is seen here" in fit.found) == (False, True)


@pytest.mark.slow
def test_doctor_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(services, "hook_checks", list)
    model = build(tmp_path / "model", size="tiny")
    asked = ["--model", str(model), "--agent-tokens", "1024", "--json"]
    result = CliRunner().invoke(doctor.app, asked)
    checks = {check["name"]: check for check in json.loads(result.output)["checks"]}
    assert checks["fit"]["figures"]["device_tokens"] == 16_384
    assert checks["agents of 1,024 tokens"]["found"].startswith("16 on the device and ")

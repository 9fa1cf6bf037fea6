"""A device is never emulated beside a real one."""

from __future__ import annotations

import pytest
import torch

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.install import install
from scalesim.deployments.engine.emulation.times import SetTimes
from scalesim.deployments.engine.launch import prepared
from scalesim.environment import ENGINE_EMULATION, engine_emulation_from_env
from scalesim.errors import ConfigurationError
from scalesim.settings import EmulationSettings, EngineSettings


def test_settings_are_refused_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "HAS_GPU", True)
    settings = EngineSettings(model_path="m", emulation=EmulationSettings())
    with pytest.raises(ConfigurationError, match="beside a real GPU"):
        prepared(settings)


@pytest.mark.parametrize(
    ("emulation", "words"),
    [
        (EmulationSettings(gpu="h1000"), "choose one of"),
        (EmulationSettings(gpu="h100", calibration={"speed": 2.0}), "has speed: use some of"),
    ],
)
def test_times_of_nothing_are_refused_before_an_engine_starts(
    emulation: EmulationSettings, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "HAS_GPU", False)
    settings = EngineSettings(model_path="m", device="cpu", emulation=emulation)
    with pytest.raises(ConfigurationError, match=words):
        prepared(settings)


def test_an_engine_process_refuses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = torch.cpu.Stream
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigurationError, match="beside a real one"):
        install(SetTimes(EmulationSettings()), VirtualClock())
    assert torch.cpu.Stream is stream


def test_it_is_off_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EngineSettings(model_path="m").emulation is None
    assert engine_emulation_from_env() is None
    settings = EmulationSettings(pass_s=0.5)
    monkeypatch.setenv(ENGINE_EMULATION, settings.model_dump_json())
    assert engine_emulation_from_env() == settings

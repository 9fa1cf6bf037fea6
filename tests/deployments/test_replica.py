"""What a replica does before its engine is imported."""

import pytest

from scalesim.deployments.machine.gpus import visible_gpus
from scalesim.deployments.replica import hide_gpus
from scalesim.environment import CUDA_VISIBLE_DEVICES, visible_gpus_from_env
from scalesim.settings import EngineSettings
from tests.deployments.machine.test_gpus import CARDS, FakeDriver


def test_an_engine_on_the_cpu_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUDA_VISIBLE_DEVICES, "0,1,2")
    hide_gpus(EngineSettings(model_path="m", device="cuda"))
    assert len(visible_gpus(FakeDriver(), visible_gpus_from_env())) == len(CARDS)
    hide_gpus(EngineSettings(model_path="m", device="cpu"))
    assert visible_gpus(FakeDriver(), visible_gpus_from_env()) == ()

"""Sizes of tiers on machines that are made up, and what is refused there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from scalesim.deployments.engine import sizing
from scalesim.deployments.engine.sizing import (
    CPU_HOST_TOKENS,
    CPU_TOKENS,
    GIB,
    PROCESS_BYTES,
    Site,
    fitted,
)
from scalesim.deployments.machine import Machine
from scalesim.deployments.machine.gpus import Gpu
from scalesim.deployments.machine.memory import Memory
from scalesim.errors import ConfigurationError
from scalesim.policies.capacity.hardware import GPUS, LLMS
from scalesim.settings import EngineSettings

SMALL, LARGE = LLMS["llama-3.1-8b"], LLMS["llama-3.1-70b"]
CARD = int(GPUS["h100"].memory_bytes)


def site(
    limit: float = 256 * GIB,
    available: float | None = None,
    *,
    cards: int = 1,
    engines: int = 1,
    llm: Any = SMALL,
    free: float = CARD,
    shared: float = GIB,
) -> Site:
    memory = Memory(int(limit), int(limit if available is None else available))
    gpus = tuple(Gpu("H100", CARD, int(free)) for _ in range(cards))
    return Site(Machine(memory, gpus, int(shared)), not cards, engines, llm)


def settings(**given: Any) -> EngineSettings:
    return EngineSettings.model_validate({"model_path": "8b", **given})


def test_the_host_tier_is_a_share_of_the_machine() -> None:
    assert fitted(settings(), site()).host_bytes == int(256 * GIB * 0.7)
    assert fitted(settings(host_share=0.5), site()).host_bytes == 128 * GIB
    assert fitted(settings(), site()).host_ratio is None


def test_engines_of_one_machine_share_it() -> None:
    each = fitted(settings(), site(2048 * GIB, engines=8)).host_bytes
    assert each is not None
    assert 8 * each == pytest.approx(2048 * GIB * 0.7)


def test_an_engine_that_comes_back_finds_its_part() -> None:
    part = fitted(settings(), site(2048 * GIB, engines=8)).host_bytes
    assert part is not None
    left = 2048 * GIB - 7 * (part + PROCESS_BYTES)
    assert fitted(settings(), site(2048 * GIB, left, engines=8)).host_bytes == part


def test_what_others_hold_is_not_there() -> None:
    tier = fitted(settings(), site(256 * GIB, 64 * GIB)).host_bytes
    assert tier == 64 * GIB - PROCESS_BYTES - sizing.SGLANG_RESERVE_BYTES


def test_processes_keep_their_memory_on_a_small_machine() -> None:
    tier = fitted(settings(host_share=0.95), site(64 * GIB, engines=8)).host_bytes
    assert tier == (64 * GIB - 8 * PROCESS_BYTES) // 8


def test_no_memory_for_a_host_tier_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"no memory .* 26 GB for 8 engines.*engine\.arm"):
        fitted(settings(), site(24 * GIB, engines=8))
    assert fitted(settings(arm="stock"), site(24 * GIB, engines=8)).host_bytes is None


def test_a_ratio_that_does_not_fit_names_one_that_does() -> None:
    here = site(128 * GIB, llm=SMALL)
    with pytest.raises(
        ConfigurationError, match="host_ratio 4 needs 220 GB of host memory"
    ) as caught:
        fitted(settings(host_ratio=4.0), here)
    assert "123 GB is there: use host_ratio <= 2.2, or leave it out" in str(caught.value)
    assert fitted(settings(host_ratio=2.2), here).host_bytes is None
    with pytest.raises(ConfigurationError, match=r"for each of 8 engines here: use host_ratio"):
        fitted(settings(host_ratio=4.0), site(1024 * GIB, engines=8))
    fitted(settings(host_ratio=4.0, device_tokens=100_000), here)


def test_bytes_that_do_not_fit_name_some_that_do() -> None:
    with pytest.raises(ConfigurationError, match="host_bytes 200000000000 needs 200 GB") as caught:
        fitted(settings(host_bytes=200_000_000_000), site(128 * GIB))
    most = int(str(caught.value).partition("<= ")[2].partition(",")[0])
    assert fitted(settings(host_bytes=most), site(128 * GIB)).host_bytes == most


def test_an_unknown_model_leaves_a_ratio_to_the_engine() -> None:
    assert fitted(settings(host_ratio=400.0), site(llm=None)).host_ratio == 400.0
    assert fitted(settings(), site(llm=None)).host_bytes == int(256 * GIB * 0.7)


def test_weights_that_do_not_fit_name_the_ranks_that_would() -> None:
    with pytest.raises(ConfigurationError, match=r"need 141 GB on a GPU, 81 GB.*>= 2"):
        fitted(settings(), site(llm=LARGE))
    fitted(settings(tp_size=4), site(llm=LARGE, cards=4))


def test_device_tokens_that_do_not_fit_name_how_many_do() -> None:
    with pytest.raises(ConfigurationError, match=r"needs 131 GB of device memory, 65 GB") as caught:
        fitted(settings(device_tokens=1_000_000), site())
    most = int(str(caught.value).partition("<= ")[2].partition(",")[0])
    assert fitted(settings(device_tokens=most), site()).device_tokens == most
    assert fitted(settings(), site()).device_tokens is None  # SGLang measures


def test_a_gpu_that_others_use_is_seen() -> None:
    with pytest.raises(ConfigurationError, match="end what else uses the GPU"):
        fitted(settings(), site(free=8e9))


def test_ranks_need_their_gpus_and_shared_memory() -> None:
    with pytest.raises(ConfigurationError, match=r"sees 2 GPUs.*tp_size <= 2"):
        fitted(settings(tp_size=4), site(cards=2))
    with pytest.raises(ConfigurationError, match=r"needs 268 MB of /dev/shm, 64 MB .*shm-size"):
        fitted(settings(tp_size=2), site(cards=2, shared=64e6))


def test_a_cpu_has_a_tier_to_try_with() -> None:
    tier = fitted(settings(), site(64 * GIB, cards=0))
    assert (tier.device_tokens, tier.host_bytes) == (CPU_TOKENS, CPU_HOST_TOKENS * 131_072)
    tight = fitted(settings(), site(24 * GIB, cards=0)).host_bytes
    weights = int(SMALL.weight_bytes) + CPU_TOKENS * 131_072
    assert tight == 24 * GIB - PROCESS_BYTES - weights
    with pytest.raises(ConfigurationError, match=r"fewer engine.device_tokens"):
        fitted(settings(device_tokens=200_000), site(24 * GIB, cards=0))


def test_models_take_half_of_the_host_tier() -> None:
    sized = fitted(settings(models={"roots": ["/tunes"]}), site())
    assert sized.models is not None
    assert sized.models.host_bytes == sized.host_bytes == int(256 * GIB * 0.35)
    models = {"roots": ["/tunes"], "host_bytes": 100 * GIB}
    assert fitted(settings(models=models), site()).host_bytes == int(256 * GIB * 0.7) - 100 * GIB
    with pytest.raises(ConfigurationError, match=r"models.host_bytes .* needs 322 GB"):
        fitted(settings(models=models | {"host_bytes": 300 * GIB}), site())


def test_ranks_share_what_they_keep_of_models() -> None:
    sized = fitted(settings(tp_size=2, models={"roots": ["/tunes"]}), site(cards=2))
    assert sized.models is not None
    assert sized.models.host_bytes == int(256 * GIB * 0.35)
    assert sized.host_bytes == pytest.approx(256 * GIB * 0.35)


def test_adapters_come_off_the_host_tier(tmp_path: Path) -> None:
    for number, size in enumerate((GIB, 3 * GIB, 2 * GIB)):
        weights = tmp_path / str(number) / "adapter_model.safetensors"
        weights.parent.mkdir()
        weights.touch()
        os.truncate(weights, size)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "adapter_model.safetensors").symlink_to(tmp_path / "nowhere")
    adapters = {"roots": [str(tmp_path)], "slots": 1, "loaded": 2}
    whole = int(256 * GIB * 0.7)
    assert fitted(settings(adapters=adapters), site()).host_bytes == whole - 5 * GIB
    every = adapters | {"loaded": 64}
    assert fitted(settings(adapters=every), site()).host_bytes == whole - 6 * GIB
    two = settings(adapters=every, tp_size=2)
    assert fitted(two, site(cards=2)).host_bytes == whole - 3 * 6 * GIB  # and the shares of both
    with pytest.raises(ConfigurationError, match=r"host tier beside 6\.4 GB of adapters"):
        fitted(settings(adapters=every, host_bytes=GIB), site(16 * GIB))


def test_weights_that_are_not_as_saved_are_left_to_the_engine() -> None:
    for name in ("quantization", "load_format", "offload_group_size"):
        fitted(settings(extra_args={name: "x"}), site(llm=LARGE))
    offloaded = fitted(settings(extra_args={"cpu_offload_gb": 80}), site(llm=LARGE))
    assert offloaded.host_bytes == int(256 * GIB * 0.7) - 80 * GIB


@pytest.mark.parametrize("asked", [{"host_bytes": 2**30}, {"host_ratio": 0.5}, {}])
def test_where_nothing_is_left_no_number_is_advised(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"no memory is left for a host tier: 8\.6 GB"):
        fitted(settings(**asked), site(8 * GIB))


def test_disk_is_shared_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "disk_bytes", lambda folder: 1000 * GIB)
    stored = fitted(settings(storage_dir=str(tmp_path)), site(1024 * GIB, engines=8)).storage_bytes
    assert stored == 100 * GIB
    asked = settings(storage_dir=str(tmp_path), storage_bytes=200 * GIB)
    assert fitted(asked, site()).storage_bytes == 200 * GIB
    with pytest.raises(ConfigurationError, match="of disk, 134 GB is there for each of 8"):
        fitted(asked, site(1024 * GIB, engines=8))
    assert fitted(settings(), site()).storage_bytes == sizing.STORED_BYTES
    monkeypatch.setattr(sizing, "disk_bytes", lambda folder: 1000)
    with pytest.raises(ConfigurationError, match=r"the disk of engine\.storage_dir .* free some"):
        fitted(asked, site())
    full = fitted(settings(storage_dir=str(tmp_path)), site())
    assert full.storage_bytes == sizing.LEAST_TIER_BYTES  # a full disk keeps no engine down


def test_a_disk_that_cannot_be_read_does_not_keep_an_engine_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(folder: Path) -> int:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(sizing, "disk_bytes", broken)
    assert fitted(settings(storage_dir="/state"), site()).storage_bytes == sizing.STORED_BYTES

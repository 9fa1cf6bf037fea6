from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.launch import (
    check_models,
    check_storage,
    check_tokens,
    prepared,
    server_args,
)
from scalesim.errors import ConfigurationError
from scalesim.settings import AdapterSettings, Arm, EngineSettings, ModelSettings
from tests.support.model_files import write_model


@pytest.fixture(autouse=True)
def _machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "HAS_GPU", False)


def args(arm: Arm, folder: Path | None, model: Path) -> dict[str, Any]:
    place = {"storage_dir": str(folder), "storage_bytes": 2**30} if folder else {}
    settings = EngineSettings(model_path=str(model), arm=arm, device="cpu", **place)
    return server_args(settings)


def test_no_folder_no_storage_tier(tmp_path: Path) -> None:
    assert "hicache_storage_backend" not in args("scalesim", None, tmp_path)
    assert "hicache_storage_backend" not in args("stock", tmp_path, tmp_path)


def test_arms_differ_in_the_backend_only(tmp_path: Path) -> None:
    stock, ours = (args(arm, tmp_path, tmp_path) for arm in ("hicache", "scalesim"))
    assert (stock["hicache_storage_backend"], ours["hicache_storage_backend"]) == (
        "file",
        "dynamic",
    )
    key = "hicache_storage_backend_extra_config"
    options = [json.loads(arm[key]) for arm in (stock, ours)]
    assert options[0]["file_storage_path"] == options[1]["folder"] == str(tmp_path)
    assert options[0]["max_size"] == options[1]["quota_bytes"]
    assert options[0]["prefetch_threshold"] == options[1]["prefetch_threshold"] == 16


@pytest.mark.parametrize("arm", ["hicache", "scalesim"])
def test_a_backend_named_takes_the_folders_place(tmp_path: Path, arm: Arm) -> None:
    settings = EngineSettings(
        model_path=str(tmp_path),
        arm=arm,
        device="cpu",
        storage_backend="file",
        storage_options={"file_storage_path": "/pages", "prefetch_threshold": 64},
    )
    arguments = server_args(settings)
    assert arguments["hicache_storage_backend"] == "file"
    assert json.loads(arguments["hicache_storage_backend_extra_config"]) == settings.storage_options
    check_storage(settings, "file")
    with pytest.raises(ConfigurationError, match="the tier has one place"):
        check_storage(settings.model_copy(update={"storage_dir": "/pages"}), "file")


def test_a_cpu_computes_in_full_precision_and_keeps_room(tiny_model: str) -> None:
    settings = EngineSettings(model_path=tiny_model, device="cpu")
    args = server_args(prepared(settings))
    assert (args["max_total_tokens"], args["dtype"]) == (16_384, "float32")
    token_bytes = 2 * 2 * 2 * 32 * 4  # layers, key and value, heads, numbers, bytes
    assert args["hicache_size"] == pytest.approx(65_536 * token_bytes / 1e9)
    named = settings.model_copy(
        update={"device_tokens": 256, "dtype": "bfloat16", "host_ratio": 2.0}
    )
    args = server_args(prepared(named))
    assert (args["max_total_tokens"], args["dtype"]) == (256, "bfloat16")
    assert args["hicache_ratio"] == 2.0
    assert "hicache_size" not in args


def test_tiers_are_dealt_to_ranks(tmp_path: Path) -> None:
    settings = EngineSettings(
        model_path=str(tmp_path),
        device="cpu",
        tp_size=4,
        host_bytes=8_000_000_000,
        storage_dir=str(tmp_path),
        storage_bytes=2**30,
    )
    args = server_args(settings)
    assert (args["tp_size"], args["hicache_size"]) == (4, 2.0)
    assert json.loads(args["hicache_storage_backend_extra_config"])["quota_bytes"] == 2**28


def test_more_than_the_machine_has_is_refused_before_anything_starts(tiny_model: str) -> None:
    settings = EngineSettings(model_path=tiny_model, device="cpu", host_ratio=1e6)
    with pytest.raises(
        ConfigurationError, match=r"engine\.host_ratio 1e\+06 needs .* use host_ratio"
    ):
        prepared(settings)


def test_a_cpu_engine_beside_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "HAS_GPU", True)
    with pytest.raises(ConfigurationError, match="a GPU is visible"):
        prepared(EngineSettings(model_path="m", device="cpu"))


@pytest.mark.parametrize(
    ("asked", "fits"), [(None, True), (1000, True), (1007, True), (1024, False)]
)
def test_a_device_tier_is_never_cut_in_silence(asked: int | None, fits: bool) -> None:
    found = SimpleNamespace(scheduler_infos=[{"max_total_num_tokens": 992}])
    engine = SimpleNamespace(_scheduler_init_result=found)
    settings = EngineSettings(model_path="m", device_tokens=asked)
    with nullcontext() if fits else pytest.raises(ConfigurationError, match="tokens <= 992"):
        check_tokens(engine, settings)


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    def fingerprint() -> str:
        extra = args("scalesim", tmp_path, tmp_path)["hicache_storage_backend_extra_config"]
        return str(json.loads(extra)["model"])

    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = fingerprint()
    assert fingerprint() == before
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert fingerprint() != before


@pytest.mark.parametrize(
    ("more", "host_bytes", "message"),
    [
        ({"arm": "hicache"}, 10_000, "engine.arm is 'hicache'"),
        ({"adapters": AdapterSettings(roots=("/adapters",))}, 10_000, "engine.adapters is set"),
        ({"model_path": "meta-llama/Llama-3.1-8B"}, 10_000, "not a hub name"),
        ({}, 10, "engine.models.host_bytes is 10"),
    ],
)
def test_why_models_cannot_be_served(
    tmp_path: Path, more: dict[str, Any], host_bytes: int, message: str
) -> None:
    engine = {"model_path": str(write_model(tmp_path / "base"))}
    check_models(EngineSettings(**engine), ModelSettings(roots=("/tunes",), host_bytes=10_000))
    models = ModelSettings(roots=("/tunes",), host_bytes=host_bytes)
    with pytest.raises(ConfigurationError, match=message):
        check_models(EngineSettings(**engine | more), models)

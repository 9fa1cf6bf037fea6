from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.engine.launch import check_models, check_storage, server_args
from scalesim.errors import ConfigurationError
from scalesim.settings import AdapterSettings, Arm, EngineSettings, ModelSettings
from tests.deployments.engine.models.model_files import write_model


def args(arm: Arm, folder: Path | None, model: Path) -> dict[str, Any]:
    settings = EngineSettings(
        model_path=str(model), arm=arm, device="cpu", storage_dir=str(folder) if folder else None
    )
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
    told = [json.loads(arm[key]) for arm in (stock, ours)]
    assert told[0]["file_storage_path"] == told[1]["folder"] == str(tmp_path)
    assert told[0]["max_size"] == told[1]["quota_bytes"]
    assert told[0]["prefetch_threshold"] == told[1]["prefetch_threshold"] == 16


@pytest.mark.parametrize("arm", ["hicache", "scalesim"])
def test_a_backend_named_takes_the_folders_place(tmp_path: Path, arm: Arm) -> None:
    settings = EngineSettings(
        model_path=str(tmp_path),
        arm=arm,
        device="cpu",
        storage_backend="file",
        storage_options={"file_storage_path": "/pages", "prefetch_threshold": 64},
    )
    told = server_args(settings)
    assert told["hicache_storage_backend"] == "file"
    assert json.loads(told["hicache_storage_backend_extra_config"]) == settings.storage_options
    check_storage(settings, "file")
    with pytest.raises(ConfigurationError, match="the tier has one place"):
        check_storage(settings.model_copy(update={"storage_dir": "/pages"}), "file")


def test_a_cpu_keeps_room_for_the_host_tier(tmp_path: Path) -> None:
    def tokens(told: int | None) -> int:
        settings = EngineSettings(model_path=str(tmp_path), device="cpu", device_tokens=told)
        return int(server_args(settings)["max_total_tokens"])

    assert (tokens(None), tokens(256)) == (16_384, 256)


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
    ("more", "host_bytes", "told"),
    [
        ({"arm": "hicache"}, 10_000, "engine.arm is 'hicache'"),
        ({"adapters": AdapterSettings(roots=("/adapters",))}, 10_000, "engine.adapters is set"),
        ({"model_path": "meta-llama/Llama-3.1-8B"}, 10_000, "not a hub name"),
        ({}, 10, "engine.models.host_bytes is 10"),
    ],
)
def test_why_models_cannot_be_served(
    tmp_path: Path, more: dict[str, Any], host_bytes: int, told: str
) -> None:
    engine = {"model_path": str(write_model(tmp_path / "base"))}
    check_models(EngineSettings(**engine), ModelSettings(roots=("/tunes",), host_bytes=10_000))
    models = ModelSettings(roots=("/tunes",), host_bytes=host_bytes)
    with pytest.raises(ConfigurationError, match=told):
        check_models(EngineSettings(**engine | more), models)

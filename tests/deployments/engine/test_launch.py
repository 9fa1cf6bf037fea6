from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deployments.engine.launch import server_args
from scalesim.settings import Arm, EngineSettings


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


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    def fingerprint() -> str:
        extra = args("scalesim", tmp_path, tmp_path)["hicache_storage_backend_extra_config"]
        return str(json.loads(extra)["model"])

    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = fingerprint()
    assert fingerprint() == before
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert fingerprint() != before

"""Dimensions of the model at a path, read from its files without loading it."""

from __future__ import annotations

import json
from pathlib import Path

from scalesim.deployments.engine.models.model_registry import weight_files
from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.hardware import Llm
from scalesim.policies.capacity.model_config import llm_of
from scalesim.settings import EngineSettings


def llm_at(settings: EngineSettings, dtype: str) -> Llm | None:
    """Return the engine's model; None where it is not on this machine or not described as usual.

    Args:
        settings: `model_path` is a folder, or a name that the hub's cache may hold.
        dtype: What the engine computes in.
    """
    folder = folder_of(settings.model_path)
    if folder is None:
        return None
    try:
        config = json.loads((folder / "config.json").read_bytes())
        size = sum(file.stat().st_size for file in weight_files(folder))
        kv_dtype = str(settings.extra_args.get("kv_cache_dtype", "auto"))
        return llm_of(config, size, dtype, kv_dtype) if size else None
    except (OSError, ValueError, TypeError, AttributeError, InvalidRequestError):
        return None  # SGLang reads more kinds than we do, and says what is wrong with a broken one


def folder_of(model_path: str) -> Path | None:
    """Return the folder of a model; None where a hub name is not in this machine's cache."""
    folder = Path(model_path)
    if (folder / "config.json").is_file():
        return folder
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model_path, "config.json")
    except (ImportError, ValueError):
        return None
    return Path(found).parent if isinstance(found, str) else None

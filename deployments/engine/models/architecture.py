"""Whether a model can take another one's place in an engine: same shape, same words."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scalesim.deployments.engine.models.model_registry import weight_files
from scalesim.deployments.engine.models.tensors import header
from scalesim.errors import InvalidRequestError

_DESCRIPTIONS = ("config.json", "generation_config.json")

_BOOKKEEPING = frozenset(
    {"_name_or_path", "transformers_version", "_from_model_config", "use_cache", "_commit_hash"}
)
"""Fields that change nothing an engine computes."""


def require_same(name: str, folder: Path, base: Path) -> None:
    """Check that a model differs from the engine's own in the values of its weights only.

    The engine keeps its configuration, tokenizer and defaults: a model that has others would answer
    otherwise than in an engine of its own.

    Raises:
        InvalidRequestError: Names the field, tensor or file that differs.
        OSError: A file cannot be read.
    """
    for file in _DESCRIPTIONS:
        ours, theirs = _fields(base / file), _fields(folder / file)
        for field in sorted(ours.keys() | theirs.keys()):
            if ours.get(field) != theirs.get(field):
                raise _differs(name, f"{field} of {file}", theirs.get(field), ours.get(field))
    words = folder / "tokenizer.json"
    if words.is_file() and _digest(words) != _digest(base / "tokenizer.json"):
        raise _differs(name, "the content of tokenizer.json", "another one", "the engine's")
    held, expected = _tensors(folder), _tensors(base)
    for tensor in sorted(held.keys() | expected.keys()):
        if held.get(tensor) != expected.get(tensor):
            raise _differs(name, f"tensor {tensor}", held.get(tensor), expected.get(tensor))


def _fields(file: Path) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
        if "torch_dtype" in fields:  # its name before transformers 5
            fields.setdefault("dtype", fields.pop("torch_dtype"))
        return {field: fields[field] for field in fields.keys() - _BOOKKEEPING}
    except (ValueError, AttributeError):
        raise InvalidRequestError(
            f"{file.name} of {file.parent.name!r} is not a JSON object: save the model again",
            "model",
        ) from None


def _tensors(folder: Path) -> dict[str, str]:
    headers = [header(file) for file in weight_files(folder)]
    return {
        name: f"{entry.dtype} {list(entry.shape)}"
        for known in headers
        for name, entry in known.entries.items()
    }


def _digest(file: Path) -> bytes:
    return blake2b(file.read_bytes()).digest() if file.is_file() else b""


def _differs(name: str, what: str, found: Any, expected: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"model {name!r} cannot be swapped into this engine: {what} is {found!r}, the engine's is "
        f"{expected!r}; fine-tune the engine's own model, or serve this one from another stack",
        "model",
    )

"""Whether an adapter goes with a base model: its modules are there, and of the same shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.engine.lora.saved_adapter import WORDS, SavedAdapter
from scalesim.deployments.engine.models.model_registry import weight_files
from scalesim.deployments.engine.models.tensors import header
from scalesim.errors import InvalidRequestError


class BaseModel(NamedTuple):
    """What an adapter must know of the model it changes.

    Attributes:
        shapes: Shape of each of its tensors, by name.
        vocabulary: Number of its tokens.
    """

    shapes: dict[str, tuple[int, ...]]
    vocabulary: int

    @classmethod
    def of(cls, folder: Path) -> BaseModel | None:
        """Return what is in a model's folder; None where it has no weights in safetensors."""
        files = weight_files(folder)
        if not files:
            return None
        config = json.loads((folder / "config.json").read_bytes())
        text = config.get("text_config") or config
        tensors = {n: e.shape for file in files for n, e in header(file).entries.items()}
        return cls(tensors, int(text["vocab_size"]))


def require_fitting(saved: SavedAdapter, base: BaseModel) -> None:
    """Check an adapter against a base model.

    Raises:
        InvalidRequestError: Names the module whose shape is another, or that is not there.
    """
    for name, module in saved.modules.items():
        expected = base.shapes.get(f"{name}.weight")
        changed = (module.b.shape[0], module.a.shape[1])
        if expected is None and f"{name}.qweight" in base.shapes:
            continue  # packed: the engine compares with what it has unpacked
        if expected is None or expected != changed:
            there = f"is {list(expected)}" if expected is not None else "is not there"
            raise InvalidRequestError(
                f"it changes {name} of shape {list(changed)}, which {there} in the engine's model: "
                "it was trained for another one",
                "model",
            )
    if saved.added_tokens >= base.vocabulary:
        raise InvalidRequestError(
            f"{WORDS} adds token {saved.added_tokens}, the engine's model has {base.vocabulary}: "
            "adapters with tokens of their own are not served",
            WORDS,
        )

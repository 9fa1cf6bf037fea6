"""`scalesim model`: which fine-tunes of its model a stack may load."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scalesim.cli.weights_verbs import verbs
from scalesim.settings import ModelSettings, load

if TYPE_CHECKING:
    from scalesim.deployments.engine.models.model_registry import ModelRegistry


def _registry(root: Path, base: Path | None) -> ModelRegistry:
    from scalesim.deployments.engine.models.architecture import require_same
    from scalesim.deployments.engine.models.model_registry import ModelRegistry

    settings: ModelSettings = load(ModelSettings, {"roots": (str(root),)})
    return ModelRegistry(settings, partial(require_same, base=base) if base is not None else None)


app = verbs(
    "model",
    "Fine-tunes of the stack's model that requests may name as `model`.",
    _registry,
    ("size_bytes", "version"),
)

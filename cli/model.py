"""`scalesim model`: which fine-tunes of its model a stack may load."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scalesim.cli.shelf import verbs
from scalesim.settings import ModelSettings, load

if TYPE_CHECKING:
    from scalesim.deployments.engine.models.files import ModelShelf


def _shelf(root: Path, base: Path | None) -> ModelShelf:
    from scalesim.deployments.engine.models.architecture import require_same
    from scalesim.deployments.engine.models.files import ModelShelf

    settings: ModelSettings = load(ModelSettings, {"roots": (str(root),)})
    return ModelShelf(settings, partial(require_same, base=base) if base is not None else None)


app = verbs(
    "model",
    "Fine-tunes of the stack's model that requests may name as `model`.",
    _shelf,
    ("size_bytes", "version"),
)

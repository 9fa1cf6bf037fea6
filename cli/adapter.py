"""`scalesim adapter`: which LoRA adapters a stack may load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalesim.cli.shelf import verbs
from scalesim.settings import AdapterSettings, load

if TYPE_CHECKING:
    from scalesim.deployments.engine.adapters import AdapterShelf


def _shelf(root: Path, base: Path | None) -> AdapterShelf:
    from scalesim.deployments.engine.adapters import AdapterShelf

    settings: AdapterSettings = load(AdapterSettings, {"roots": (str(root),)})
    return AdapterShelf(settings, str(base) if base is not None else None)


app = verbs(
    "adapter",
    "LoRA adapters that requests may name as `model:adapter`.",
    _shelf,
    ("rank", "size_bytes"),
)

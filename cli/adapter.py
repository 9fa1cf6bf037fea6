"""`scalesim adapter`: which LoRA adapters a stack may load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalesim.cli.weights_verbs import verbs
from scalesim.settings import AdapterSettings, load

if TYPE_CHECKING:
    from scalesim.deployments.engine.adapter_registry import AdapterRegistry


def _registry(root: Path, base: Path | None) -> AdapterRegistry:
    from scalesim.deployments.engine.adapter_registry import AdapterRegistry

    settings: AdapterSettings = load(AdapterSettings, {"roots": (str(root),)})
    return AdapterRegistry(settings, str(base) if base is not None else None)


app = verbs(
    "adapter",
    "LoRA adapters that requests may name as `model:adapter`.",
    _registry,
    ("rank", "size_bytes"),
)

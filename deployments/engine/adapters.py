"""LoRA adapters on disk: safetensors as PEFT saves them, below caps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from deployments.engine.shelf import Shelf
from scalesim.settings import AdapterSettings

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Adapter(NamedTuple):
    """One adapter that may be loaded.

    Attributes:
        name: Its id.
        folder: Where it is, links resolved.
        version: Changes with its files: what was computed with others must never be used.
        rank: Of its matrices.
        size_bytes: Of its weights.
    """

    name: str
    folder: Path
    version: str
    rank: int
    size_bytes: int

    @property
    def identity(self) -> str:
        """Name and version, as engines know it."""
        return f"{self.name}@{self.version}"


class AdapterShelf(Shelf[Adapter]):
    """The adapters below some roots.

    Args:
        settings: Roots and caps.
    """

    noun = "adapter"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings.roots)
        self._settings = settings

    def _files(self, folder: Path) -> list[Path]:
        return [folder / CONFIG, folder / WEIGHTS]

    def _item(self, name: str, folder: Path) -> Adapter:
        config, weights = self._files(folder)
        if not (config.is_file() and weights.is_file()):
            raise self._refused(
                name, f"lacks {CONFIG} or {WEIGHTS}", "save it as safetensors (PEFT)"
            )
        try:
            rank = int(json.loads(config.read_bytes())["r"])
        except (ValueError, KeyError, TypeError):
            raise self._refused(name, f"has no rank `r` in {CONFIG}", "save it with PEFT") from None
        size = weights.stat().st_size
        caps = self._settings
        if not 0 < rank <= caps.max_rank:
            raise self._refused(name, f"has rank {rank}", f"1 to {caps.max_rank} are allowed here")
        if size > caps.max_bytes:
            raise self._refused(
                name, f"is {size} bytes", f"up to {caps.max_bytes} are allowed here"
            )
        return Adapter(name, folder, self._version(name, folder), rank, size)

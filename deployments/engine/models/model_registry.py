"""Models on disk by id, and which of their files an engine reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.engine.weights_registry import WeightsRegistry
from scalesim.errors import InvalidRequestError
from scalesim.settings import ModelSettings

INDEX = "model.safetensors.index.json"
DESCRIPTIONS = ("config.json", "generation_config.json", "tokenizer.json", INDEX)


class Model(NamedTuple):
    """One model that may be loaded, if it fits the engine.

    Attributes:
        name: Its id.
        folder: Where it is, links resolved.
        version: Changes with its files: what was computed with others must never be used.
        size_bytes: Size of its weights' files.
    """

    name: str
    folder: Path
    version: str
    size_bytes: int

    @property
    def identity(self) -> str:
        """Name and version, as engines and cache keys know it."""
        return f"{self.name}@{self.version}"


class ModelRegistry(WeightsRegistry[Model]):
    """The models below some roots.

    Args:
        settings: Roots and caps.
        require_fitting: Refuses, by name and folder, what does not go with the engine; None leaves
            that to the first request.
    """

    noun = "model"

    def __init__(
        self, settings: ModelSettings, require_fitting: Callable[[str, Path], None] | None = None
    ) -> None:
        super().__init__(settings.roots)
        self._require_fitting = require_fitting
        self._max_bytes = settings.max_bytes

    def _files(self, folder: Path) -> list[Path]:
        described = [folder / name for name in DESCRIPTIONS]
        return [*(file for file in described if file.is_file()), *weight_files(folder)]

    def _item(self, name: str, folder: Path) -> Model:
        weights = weight_files(folder)
        if not (folder / "config.json").is_file() or not weights:
            raise self._refused(name, "lacks config.json or *.safetensors", "save it with both")
        if not all(file.is_file() for file in weights):
            raise self._refused(name, f"lacks a file that {INDEX} names", "copy all of them")
        size = sum(file.stat().st_size for file in weights)
        if size > self._max_bytes:
            raise self._refused(
                name, f"is {size} bytes", f"up to {self._max_bytes} are allowed here"
            )
        return Model(name, folder, self._version(name, folder), size)

    def _require_good(self, name: str, source: Path) -> None:
        super()._require_good(name, source)
        if self._require_fitting is not None:
            self._require_fitting(name, source)


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights: those its index names, else all safetensors.

    Raises:
        InvalidRequestError: The index cannot be read, or names files elsewhere.
    """
    index = folder / INDEX
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        names = {""}
    if any(Path(name).name != name or Path(name).suffix != ".safetensors" for name in names):
        raise InvalidRequestError(
            f"{INDEX} of {folder.name!r} cannot be read, or names files elsewhere: save the model "
            "again",
            "model",
        )
    return [folder / name for name in sorted(names)]

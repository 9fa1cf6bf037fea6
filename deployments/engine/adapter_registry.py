"""LoRA adapters on disk: in the plain form, as safetensors, below caps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.engine.lora.fitting import BaseModel, require_fitting
from scalesim.deployments.engine.lora.plain_adapter import write
from scalesim.deployments.engine.lora.saved_adapter import (
    CONFIG,
    WEIGHTS,
    WORDS,
    SavedAdapter,
    load,
)
from scalesim.deployments.engine.weights_registry import WeightsRegistry
from scalesim.errors import InvalidRequestError
from scalesim.settings import AdapterSettings


class Adapter(NamedTuple):
    """One adapter that may be loaded.

    Attributes:
        name: Its id.
        folder: Where it is, links resolved.
        version: Changes with its files: what was computed with others must never be used.
        rank: Rank of its matrices.
        size_bytes: Size of its weights.
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


class AdapterRegistry(WeightsRegistry[Adapter]):
    """The adapters below some roots.

    Args:
        settings: Roots and caps.
        base: Folder of the model they must go with, or its name on the hub; None to leave that to
            the engine.
    """

    noun = "adapter"

    def __init__(self, settings: AdapterSettings, base: str | None = None) -> None:
        super().__init__(settings.roots)
        self._settings = settings
        self._base = BaseModel.of(Path(base)) if base and Path(base).is_dir() else None
        self._checked_before: dict[str, Adapter] = {}

    def _files(self, folder: Path) -> list[Path]:
        words = folder / WORDS
        return [folder / CONFIG, folder / WEIGHTS, *([words] if words.is_file() else ())]

    def _item(self, name: str, folder: Path) -> Adapter:
        self._require_files(name, folder)
        version = self._version(name, folder)
        if (known := self._checked_before.get(name)) is None or known.version != version:
            saved = self._load(name, folder)
            if not saved.is_plain:
                raise self._refused(
                    name,
                    "is not in the form that engines take",
                    "register it with `scalesim adapter add`, which converts it",
                )
            size = (folder / WEIGHTS).stat().st_size
            known = Adapter(name, folder, version, saved.rank, size)
            self._checked_before[name] = known
        return known._replace(folder=folder)

    def _require_good(self, name: str, source: Path) -> None:
        self._require_files(name, source)
        self._load(name, source)

    def _bring(self, name: str, source: Path, target: Path) -> None:
        try:
            write(self._load(name, source), source, target)
        except InvalidRequestError as error:
            raise self._faulty(name, error) from None

    def _require_files(self, name: str, folder: Path) -> None:
        if not ((folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()):
            raise self._refused(
                name, f"lacks {CONFIG} or {WEIGHTS}", "save it as safetensors (PEFT)"
            )

    def _load(self, name: str, folder: Path) -> SavedAdapter:
        try:
            saved = load(folder)
            if self._base is not None:
                require_fitting(saved, self._base)
        except InvalidRequestError as error:
            raise self._faulty(name, error) from None
        cap = self._settings.max_rank
        if saved.rank > cap:
            raise self._refused(name, f"has rank {saved.rank}", f"1 to {cap} are allowed here")
        size, cap = (folder / WEIGHTS).stat().st_size, self._settings.max_bytes
        if size > cap:
            raise self._refused(name, f"is {size} bytes", f"up to {cap} are allowed here")
        return saved

    def _faulty(self, name: str, error: InvalidRequestError) -> InvalidRequestError:
        return InvalidRequestError(f"adapter {name!r} cannot be served: {error}", error.field)

"""LoRA adapters on disk: folders in allow-listed roots, checked before an engine sees them.

The id of an adapter is its folder's name. Nothing outside of a root, nothing pickled and nothing
over the caps is ever opened by an engine, whatever a request asks for.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from scalesim.errors import InvalidRequestError, UnknownModelError
from scalesim.settings import AdapterSettings

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Adapter(NamedTuple):
    """One adapter that may be loaded.

    Attributes:
        name: Its id.
        folder: Where it is, links resolved.
        rank: Of its matrices.
        size_bytes: Of its weights.
    """

    name: str
    folder: Path
    rank: int
    size_bytes: int


class AdapterShelf:
    """The adapters below some roots.

    Args:
        settings: Roots and caps. A name in two roots is the first one's.
    """

    def __init__(self, settings: AdapterSettings) -> None:
        self._settings = settings
        self._roots = [Path(root).resolve() for root in settings.roots]

    def find(self, name: str) -> Adapter:
        """Return an adapter by its id.

        Raises:
            UnknownModelError: No root has it.
            InvalidRequestError: It is there but may not be loaded; says why.
        """
        if _NAME.fullmatch(name):
            for root in self._roots:
                if (root / name).is_dir():
                    return self._checked(name, root / name, root)
        raise UnknownModelError(
            f"adapter {name[:80]!r} is not registered: add it with `scalesim adapter add`", "model"
        )

    def all(self) -> list[Adapter]:
        """Return every adapter that may be loaded, by name; others are left out."""
        names = {folder.name for root in self._roots if root.is_dir() for folder in root.iterdir()}
        found = []
        for name in sorted(names):
            try:
                found.append(self.find(name))
            except InvalidRequestError:
                continue
        return found

    def add(self, name: str, source: Path) -> Adapter:
        """Copy a folder into the first root under a new id and return it.

        Raises:
            InvalidRequestError: The name cannot be used or the adapter may not be loaded; nothing
                is left behind.
        """
        root = self._roots[0]
        if not _NAME.fullmatch(name) or (root / name).exists():
            raise InvalidRequestError(
                f"{name[:80]!r} cannot be an adapter's id: use up to 128 letters, digits, '.', "
                "'_' or '-' that no other adapter has",
                "name",
            )
        source = source.resolve()
        self._checked(name, source, source)
        (root / name).mkdir(parents=True)
        for file in (CONFIG, WEIGHTS):
            shutil.copyfile(source / file, root / name / file)
        return self.find(name)

    def remove(self, name: str) -> None:
        """Delete an adapter's folder; engines that loaded it keep it until they restart.

        Raises:
            UnknownModelError: There is none of that id.
        """
        shutil.rmtree(self.find(name).folder)

    def _checked(self, name: str, folder: Path, root: Path) -> Adapter:
        resolved = folder.resolve()
        files = [(resolved / file).resolve() for file in (CONFIG, WEIGHTS)]
        if not all(path.is_relative_to(root) for path in (resolved, *files)):
            raise _refused(name, f"leads out of {root}", "copy it there instead of linking to it")
        if not all(file.is_file() for file in files):
            raise _refused(name, f"lacks {CONFIG} or {WEIGHTS}", "save it as safetensors (PEFT)")
        try:
            rank = int(json.loads(files[0].read_bytes())["r"])
        except (ValueError, KeyError, TypeError):
            raise _refused(name, f"has no rank `r` in {CONFIG}", "save it with PEFT") from None
        size = files[1].stat().st_size
        caps = self._settings
        if not 0 < rank <= caps.max_rank:
            raise _refused(name, f"has rank {rank}", f"1 to {caps.max_rank} are allowed here")
        if size > caps.max_bytes:
            raise _refused(name, f"is {size} bytes", f"up to {caps.max_bytes} are allowed here")
        return Adapter(name, resolved, rank, size)


def _refused(name: str, fault: str, cure: str) -> InvalidRequestError:
    return InvalidRequestError(f"adapter {name!r} {fault}: {cure}", "model")

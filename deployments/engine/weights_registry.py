"""Weights on disk by id: folders in allow-listed roots, checked before an engine sees them.

An id is a folder's name. Nothing outside of a root is ever opened by an engine, whatever a request
asks for, and nothing that is still being copied can be found.
"""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections import ChainMap, Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from scalesim.deployments.engine.assignments import Assignments
from scalesim.errors import InvalidRequestError, UnknownModelError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class RegisteredWeights(Protocol):
    """What a registry returns."""

    @property
    def name(self) -> str:
        """Return its id."""
        ...

    @property
    def folder(self) -> Path:
        """Return where it is, links resolved."""
        ...

    @property
    def version(self) -> str:
        """Return what changes with its files: what was computed with others must never be used."""
        ...


Registered = TypeVar("Registered", bound=RegisteredWeights)


class WeightsRegistry(ABC, Generic[Registered]):
    """Weights that may be loaded, by id, below root folders; the first root with an id wins.

    Args:
        roots: Folders whose subfolders are items.
    """

    noun: str
    """What an item is called, in messages and as the command that registers it."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = [Path(root).resolve() for root in roots]
        self._assignments = [Assignments(root) for root in self._roots]

    def find(self, name: str) -> Registered:
        """Return an item by its id.

        Raises:
            UnknownModelError: No root has it.
            InvalidRequestError: It is there but may not be loaded; says why.
        """
        if _NAME.fullmatch(name):
            for root in self._roots:
                if (root / name).is_dir():
                    return self._checked(name, root / name, root)
        raise UnknownModelError(
            f"{self.noun} {name[:80]!r} is not registered: add it with `scalesim {self.noun} add`",
            "model",
        )

    def all(self) -> list[Registered]:
        """Return every item that may be loaded, by name; others are left out."""
        names = {folder.name for root in self._roots if root.is_dir() for folder in root.iterdir()}
        found = []
        for name in sorted(names):
            try:
                found.append(self.find(name))
            except InvalidRequestError:
                continue
        return found

    def assigned_to(self, agent: int) -> str | None:
        """Return the id of the item that an agent was given, by its key; None if it has none.

        Raises:
            InvalidRequestError: What was assigned cannot be read.
        """
        return next((item for each in self._assignments if (item := each.of(agent))), None)

    def agents(self) -> Counter[str]:
        """Return how many agents were given each item, by its id."""
        return Counter(ChainMap(*(each.all() for each in self._assignments)).values())

    def add(self, name: str, source: Path, agents: Sequence[str] = ()) -> Registered:
        """Copy a folder into the first root under a new id, give it to agents and return it.

        Args:
            name: Its id.
            source: The folder.
            agents: Whose requests get it where they name none, as `SIMULATION/AGENT`, in place of
                what they had.

        Raises:
            InvalidRequestError: A name cannot be used or the item may not be loaded; nothing is
                left behind.
        """
        root = self._roots[0]
        if not _NAME.fullmatch(name) or (root / name).exists():
            raise InvalidRequestError(
                f"{name[:80]!r} cannot be the id of a new {self.noun}: use up to 128 letters, "
                "digits, '.', '_' or '-' that no other has",
                "name",
            )
        self._require_good(name, source)
        self._assignments[0].check(agents)
        partial = root / f".{name}.partial"  # no id begins with a dot
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            self._bring(name, source, partial)
            partial.rename(root / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        if agents:
            self._assignments[0].assign(name, agents)
        return self.find(name)

    def unassign(self, agents: Sequence[str]) -> None:
        """Take from agents what they were given in any root, if anything.

        Raises:
            InvalidRequestError: One is not written as `SIMULATION/AGENT`; nothing is changed.
        """
        for assignments in self._assignments:
            assignments.check(agents)
        for assignments in self._assignments:
            assignments.take(agents)

    def remove(self, name: str) -> None:
        """Take an item from its agents and delete its folder: no request gets it from then on.

        Raises:
            UnknownModelError: There is none of that id.
        """
        folder = self.find(name).folder
        Assignments(folder.parent).forget(name)
        shutil.rmtree(folder)

    def _checked(self, name: str, folder: Path, root: Path) -> Registered:
        resolved = folder.resolve()
        paths = (resolved, *(file.resolve() for file in folder.iterdir()))
        if not all(path.is_relative_to(root) for path in paths):
            raise self._refused(
                name, f"leads out of {root}", "copy it there instead of linking to it"
            )
        return self._item(name, resolved)

    @abstractmethod
    def _files(self, folder: Path) -> list[Path]:
        """Return the files that belong to the item in a folder."""

    @abstractmethod
    def _item(self, name: str, folder: Path) -> Registered:
        """Return the item in a folder; raises `_refused` if it may not be loaded."""

    def _require_good(self, name: str, source: Path) -> None:
        """Check a folder that is to be brought; raises `_refused` if it may not be."""
        self._item(name, source)

    def _bring(self, name: str, source: Path, target: Path) -> None:
        """Bring what was checked into an empty folder."""
        for file in self._files(source):
            shutil.copyfile(file, target / file.name)

    def _version(self, name: str, folder: Path) -> str:
        facts = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in self._files(folder)]
        return blake2b(repr((name, facts)).encode(), digest_size=16).hexdigest()

    def _refused(self, name: str, fault: str, cure: str) -> InvalidRequestError:
        return InvalidRequestError(f"{self.noun} {name!r} {fault}: {cure}", "model")

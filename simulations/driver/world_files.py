"""Worlds by name: `town`, or `FILE.py:CLASS`, or `MODULE:CLASS`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

from scalesim.errors import ConfigurationError
from scalesim.world import World

REFERENCE = {
    "debate": "scalesim.simulations.worlds.debate:Debate",
    "feed": "scalesim.simulations.worlds.feed:Feed",
    "town": "scalesim.simulations.worlds.town:Town",
    "workflow": "scalesim.simulations.worlds.workflow:Workflows",
}
"""The reference Worlds."""


def is_world(name: str) -> bool:
    """Return whether a simulation's name is that of a World."""
    return name in REFERENCE or ":" in name


def load_world(name: str, agents: int | None, seed: int) -> World:
    """Return a World by its name; the file of one is not read twice.

    Raises:
        ConfigurationError: There is no such file, module or class, or it is not a World.
    """
    place, _, kind = REFERENCE.get(name, name).rpartition(":")
    module = _module(place)
    found = getattr(module, kind, None)
    if not (inspect.isclass(found) and issubclass(found, World)):
        worlds = [
            each
            for each, value in vars(module).items()
            if inspect.isclass(value) and issubclass(value, World) and value is not World
        ]
        raise ConfigurationError(
            f"{place} has no World named {kind!r}: use one of {', '.join(worlds) or 'none there'}; "
            "a World is a class derived from scalesim.World"
        )
    world: World = found(seed=seed) if agents is None else found(agents=agents, seed=seed)
    return world


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ImportError as error:
            raise ConfigurationError(f"{place} cannot be imported: {error}") from error
    file = Path(place)
    if not file.is_file():
        raise ConfigurationError(
            f"there is no file {place}: name a World as FILE.py:CLASS, or one of "
            f"{', '.join(REFERENCE)}"
        )
    name = f"world_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(
            f"{place} cannot be run: {type(error).__name__}: {error}"
        ) from error
    return module

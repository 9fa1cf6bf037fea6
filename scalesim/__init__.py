"""What a simulation imports.

::

    town = scalesim.Simulation("town")
    for t in range(steps):
        town.step(t, active=ids_of_this_step, upcoming=[ids_of_the_next])
        with town.agent("villager-7"):
            client.chat.completions.create(...)

Names are loaded on first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalesim.caller import current_headers as current_headers
    from scalesim.context import agent as agent
    from scalesim.errors import ScaleSimError as ScaleSimError
    from scalesim.integrations.httpx_auth import httpx_auth as httpx_auth
    from scalesim.integrations.openai import instrument_openai as instrument_openai
    from scalesim.mesa_world import MesaWorld as MesaWorld
    from scalesim.sender import Stats as Stats
    from scalesim.settings import ClientSettings as ClientSettings
    from scalesim.simulation import Simulation as Simulation
    from scalesim.world import World as World

    __version__: str

_HOMES = {
    "ClientSettings": "settings",
    "MesaWorld": "mesa_world",
    "ScaleSimError": "errors",
    "Simulation": "simulation",
    "Stats": "sender",
    "World": "world",
    "agent": "context",
    "current_headers": "caller",
    "httpx_auth": "integrations.httpx_auth",
    "instrument_openai": "integrations.openai",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("scalesim-serve")
    if name not in _HOMES:
        raise AttributeError(f"module 'scalesim' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scalesim.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)

"""What the command line says of a World, checked."""

from __future__ import annotations

import hashlib
import inspect
from typing import cast, get_args

from scalesim.environment import client_from_env
from scalesim.errors import ConfigurationError
from scalesim.identity import check_simulation
from scalesim.settings import ClientSettings
from scalesim.simulations.driver.drive import DriveOptions, OnError, Stepping, stepping_of
from scalesim.simulations.driver.world_arms import WorldDrive
from scalesim.simulations.driver.world_files import load_world

STEPS = 12


def world_drive(
    name: str,
    agents: int | None,
    steps: int | None,
    seed: int,
    stepping: str | None,
    on_error: str,
    concurrency: int,
    client: ClientSettings | None = None,
) -> WorldDrive:
    """Return a World by its name with how it is driven; `client` where the stack runs already.

    Raises:
        ConfigurationError: A value means nothing, or the World cannot be loaded.
        WorldError: It cannot be stepped so.
    """
    for option, value, known in (
        ("--stepping", stepping or "barrier", get_args(Stepping)),
        ("--on-error", on_error, get_args(OnError)),
    ):
        if value not in known:
            raise ConfigurationError(f"{option} {value} means nothing: use {' or '.join(known)}")
    if (agents is not None and agents < 1) or (steps is not None and steps < 1):
        raise ConfigurationError(
            "a World runs at least one agent for one step: see --agents, --steps"
        )
    world = load_world(name, agents, seed)
    stepped = stepping_of(world, cast(Stepping | None, stepping))
    options = DriveOptions(steps or STEPS, stepped, concurrency, cast(OnError, on_error))
    key = client.api_key.get_secret_value() if client else ""
    return WorldDrive(world, options, key)


def name_of(simulation: str) -> str:
    """Return the namespace of a World's agents, by its name on the command line."""
    return check_simulation(simulation.rpartition(":")[2].lower())


def client_at(base_url: str) -> ClientSettings:
    """Return the settings of the stack at a URL; its key is taken from SCALESIM_API_KEY."""
    return client_from_env().model_copy(update={"base_url": base_url.rstrip("/")})


def digest(drive: WorldDrive) -> str:
    """Return a hash of everything a World's run depends on; a changed World starts over."""
    source = inspect.getsource(inspect.getmodule(type(drive.world)) or type(drive.world))
    text = f"{source} {drive.options}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]

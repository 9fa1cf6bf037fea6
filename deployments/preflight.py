"""Whether this machine has what a stack asks for, before any part of it starts."""

from __future__ import annotations

from scalesim.deployments import machine
from scalesim.deployments.engine.models.dimensions import llm_at
from scalesim.deployments.engine.sizing import Site, dtype_of, fitted
from scalesim.settings import StackSettings


def site_here(settings: StackSettings) -> Site:
    """Return this machine as the site of all engines that have a place on it.

    Each engine looks again where it starts, see `scalesim.deployments.engine.launch.prepared`.
    """
    engine, found = settings.engine, machine.look()
    on_cpu = engine.device == "cpu" or (engine.device == "auto" and not found.gpus)
    most = settings.engines_per_machine or settings.most_replicas
    places = most if on_cpu else len(found.gpus) // engine.tp_size
    engines = max(1, min(most, places))
    return Site(found, on_cpu, engines, llm_at(engine, dtype_of(engine, on_cpu=on_cpu)))


def check_here(settings: StackSettings) -> None:
    """Check a stack whose engines all run on this machine.

    Raises:
        ConfigurationError: They ask for what is not there; says what is.
    """
    fitted(settings.engine, site_here(settings))

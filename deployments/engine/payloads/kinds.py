"""Payload kinds by name: ours, and those that installed packages bring.

A kind is a factory `build(engine) -> Payload | None`, None where the engine has nothing of it to
move. A package adds one under the entry-point group `scalesim.payloads`; nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points

from scalesim.deployments.engine.payloads.interfaces import Payload, PayloadEngine
from scalesim.errors import ConfigurationError

GROUP = "scalesim.payloads"

BUILT_IN = {
    "prefix": "scalesim.deployments.engine.payloads.prefix_payload:build",
    "adapter": "scalesim.deployments.engine.payloads.adapter_payload:build",
    "model": "scalesim.deployments.engine.payloads.model_payload:build",
}
"""Where the factories of our own kinds are; imported only in the engine."""

Factory = Callable[[PayloadEngine], Payload | None]


def build(engine: PayloadEngine) -> dict[str, Payload]:
    """Return the payloads an engine has, by kind: ours first, then by name.

    Raises:
        ConfigurationError: A kind is claimed twice, cannot be imported or names itself otherwise;
            or there are settings for one that is not installed.
    """
    factories = _factories()
    if strange := sorted(engine.settings.keys() - factories.keys()):
        raise ConfigurationError(
            f"engine.payloads has settings for {', '.join(strange)}, which no installed package "
            f"brings: there are {', '.join(factories)}"
        )
    payloads = {}
    for kind, factory in factories.items():
        payload = factory(engine)
        if payload is None:
            continue
        if payload.kind != kind:
            raise ConfigurationError(
                f"payload kind {kind!r} calls itself {payload.kind!r}: register it under that name"
            )
        payloads[kind] = payload
    return payloads


def _factories() -> dict[str, Factory]:
    factories = {kind: _imported(where) for kind, where in BUILT_IN.items()}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in factories:
            raise ConfigurationError(
                f"payload kind {entry.name!r} is claimed twice, the second time by "
                f"{entry.value!r}: rename or uninstall one"
            )
        try:
            factories[entry.name] = entry.load()
        except Exception as error:
            raise ConfigurationError(
                f"payload kind {entry.name!r} ({entry.value}) cannot be imported: {error!r}; "
                "repair or uninstall the package that brings it"
            ) from error
    return factories


def _imported(where: str) -> Factory:
    module, _, name = where.partition(":")
    factory: Factory = getattr(import_module(module), name)
    return factory

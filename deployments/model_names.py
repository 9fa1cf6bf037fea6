"""What clients call the models that are served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.errors import InvalidRequestError, UnknownModelError

LONGEST = 512
"""Characters of a name: each slash in it is looked up, and paths are longer than bodies allow."""

ANY = "*"
"""Alias that stands for every name that is not served."""


class ModelNames:
    """Maps model names that clients send to the models that are served.

    A name may have a provider before it, as litellm and others write it (`openai/scalesim`), and
    an adapter after it (`scalesim:villager-7`).

    Args:
        served: The engine's own model.
        aliases: Other names, and what each stands for; `*` for all that is not served.
        registry: Fine-tunes that may be named; None for none.
    """

    def __init__(
        self, served: str, aliases: Mapping[str, str], registry: ModelRegistry | None = None
    ) -> None:
        self._served = served
        self._aliases = aliases
        self._registry = registry

    async def of(self, asked: str) -> str:
        """Return what is served under a name; an empty one is the engine's own model.

        Raises:
            UnknownModelError: Nothing is.
        """
        if not asked or asked == self._served:
            return self._served
        for candidate in _without_providers(asked) if len(asked) <= LONGEST else ():
            name, colon, adapter = candidate.partition(":")
            if name == self._served:
                return candidate
            if candidate != ANY and candidate in self._aliases:
                return self._aliases[candidate]
            if name != ANY and name in self._aliases:
                return self._aliases[name].partition(":")[0] + colon + adapter
            if self._registry is not None and await asyncio.to_thread(self._knows, name):
                return candidate
        if ANY in self._aliases:
            return self._aliases[ANY]
        raise UnknownModelError(
            f"model {asked[:80]!r} is not served here: use {self._served!r}, or give the name to "
            "it with ingress.model_aliases",
            "model",
        )

    async def all(self) -> list[str]:
        """Return every name that is served, aliases included."""
        names = [self._served]
        if self._registry is not None:
            names += [model.name for model in await asyncio.to_thread(self._registry.all)]
        return [*names, *(alias for alias in self._aliases if alias not in (ANY, *names))]

    def _knows(self, name: str) -> bool:
        assert self._registry is not None
        try:
            self._registry.find(name)
        except UnknownModelError:
            return False
        except (InvalidRequestError, OSError):
            return True  # it is there: the replica says what is wrong with it
        return True


def _without_providers(name: str) -> Iterator[str]:
    """Yield a name, then the name without what stands before each of its slashes."""
    yield name
    while "/" in name:
        name = name.partition("/")[2]
        yield name

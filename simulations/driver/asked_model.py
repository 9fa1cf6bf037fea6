"""How agents of a World ask: a model behind a stack, or a stand-in of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from scalesim.headers import NEXT_USE, STEP, identity
from scalesim.me import Chat, TextListener
from scalesim.simulations.chat_caller import Caller, ChatAnswer


class AskedModel(Protocol):
    """Answers chats on behalf of agents."""

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        """Return the answer; a failure is an answer with `error`, never raised."""
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


MakeModel = Callable[[], AskedModel]
"""Makes a model where it is used: each worker makes its own."""


class ServedModel:
    """A model behind a stack, asked with each agent's identity.

    Args:
        base_url: Base URL of the stack, without `/v1`.
        simulation: Namespace of the agents.
        model_of: Returns the served model that an agent's calls name, by its row.
        api_key: API key of the stack, where it has one.
        hinted: Whether distances and steps are sent with calls: the stack takes them.
    """

    def __init__(
        self,
        base_url: str,
        simulation: str,
        model_of: Callable[[int], str],
        api_key: str = "",
        hinted: bool = True,
    ) -> None:
        self._hinted = hinted
        self._caller = Caller(base_url, api_key=api_key)
        self._simulation = simulation
        self._model_of = model_of

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        """See `AskedModel.chat`."""
        given = {key: value for key, value in parameters.items() if key not in _OURS}
        body = {"model": self._model_of(row), "temperature": 0, **given, "messages": list(messages)}
        headers = {**parameters.get("extra_headers", {}), **identity(self._simulation, agent)}
        if not self._hinted:
            headers = {name: value for name, value in headers.items() if name not in _HINTS}
        return await self._caller.chat(body, headers, on_text)

    async def close(self) -> None:
        """See `AskedModel.close`."""
        await self._caller.close()


_HINTS = {NEXT_USE, STEP}

_OURS = {"stream", "stream_options", "extra_headers"}
"""Parameters that are not passed on: every call is streamed, for its times; `on_text` gets the
pieces."""


@dataclass(frozen=True)
class MakeServedModel:
    """Makes a `ServedModel`; travels to workers."""

    base_url: str
    simulation: str
    model_of: Callable[[int], str]
    api_key: str = field(default="", repr=False)
    hinted: bool = True

    def __call__(self) -> AskedModel:
        """Return a model of this process."""
        return ServedModel(self.base_url, self.simulation, self.model_of, self.api_key, self.hinted)

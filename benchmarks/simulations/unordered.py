"""A model that is asked without a word on which step a call belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalesim.headers import STEP
from scalesim.me import Chat, TextListener
from scalesim.simulations.chat_caller import ChatAnswer
from scalesim.simulations.driver.asked_model import AskedModel


class UnorderedModel:
    """See `AskedModel`.

    Args:
        model: What is asked in the end.
    """

    def __init__(self, model: AskedModel) -> None:
        self._model = model

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        """See `AskedModel.chat`."""
        said = parameters.get("extra_headers") or {}
        headers = {name: value for name, value in said.items() if name != STEP}
        silent = {**parameters, "extra_headers": headers}
        return await self._model.chat(row, agent, messages, silent, on_text)

    async def close(self) -> None:
        """See `AskedModel.close`."""
        await self._model.close()

"""Fields of `/tokenize`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from scalesim.deployments.requests.chat import template_arguments
from scalesim.deployments.requests.chat_messages import ChatMessage, Tool, check_schemas
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.shared_fields import MOST_SEQUENCES
from scalesim.deployments.requests.values import JsonObject, together


def _texts(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError("prompt", "must be a string or strings")
    return value


class TokenizeRequest(RequestModel):
    """A text or a chat to tokenize."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)] = ""
    """The model served."""
    prompt: Annotated[
        str | Annotated[list[str], Field(min_length=1, max_length=MOST_SEQUENCES)],
        BeforeValidator(_texts),
    ] = ""
    """A string, or several; either this or `messages`."""
    messages: list[ChatMessage] = Field(default_factory=list, max_length=4096)
    """Turns of a chat, put through the model's template."""
    tools: list[Tool] = Field(default_factory=list, max_length=128)
    """Functions that the chat may call; their schemas have 256 KiB of JSON together at most."""
    chat_template_kwargs: Annotated[JsonObject, AfterValidator(template_arguments)] = Field(
        default_factory=dict
    )
    """Variables of the template."""
    add_special_tokens: bool = True
    """Begin a prompt with the model's first token, if it has one."""

    @model_validator(mode="after")
    def _one(self) -> TokenizeRequest:
        if ("prompt" in self.model_fields_set) == ("messages" in self.model_fields_set):
            raise together("prompt", "or messages: send one of them")
        if "messages" in self.model_fields_set and not self.messages:
            raise together("messages", "has no turns: send one or more, or a prompt")
        check_schemas([tool.function.parameters for tool in self.tools])
        return self

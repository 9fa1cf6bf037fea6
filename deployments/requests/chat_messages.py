"""Messages and tools of a chat."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.shared_fields import Label
from scalesim.deployments.requests.values import JsonObject, together

ParticipantName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
"""Name of a participant or of a function."""

MOST_SCHEMA_BYTES = 256 * 2**10
"""Largest schemas of all tools together: engines look through them for 0.3 ms a property."""


def check_schemas(schemas: list[dict[str, Any]]) -> None:
    """Check the schemas of all tools of a request.

    Raises:
        PydanticCustomError: They are too large together.
    """
    size = len(msgspec.json.encode(schemas))
    if size > MOST_SCHEMA_BYTES:
        raise together(
            "tools", f"have {size} bytes of schemas, {MOST_SCHEMA_BYTES} are served: send fewer"
        )


class TextPart(RequestModel):
    """A piece of a message."""

    type: Literal["text"]
    """Only text is served."""
    text: str


def _text_or_parts(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError("content", "must be a string or a list of text parts")
    return value


def _nothing(value: Any) -> Any:
    if value:
        raise PydanticCustomError("unserved", "is not served: leave it out")
    return None


Content = Annotated[
    str | Annotated[list[TextPart], Field(min_length=1, max_length=1024)],
    BeforeValidator(_text_or_parts),
]

Nothing = Annotated[Any, AfterValidator(_nothing)]
"""What OpenAI's answers carry and clients send back, empty."""


class CalledFunction(RequestModel):
    """Which function was called and how."""

    name: ParticipantName
    arguments: str = ""
    """JSON text."""


class ToolCall(RequestModel):
    """A tool's call that an assistant made."""

    id: Label = ""
    index: int = Field(0, ge=0, le=2**31 - 1)
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(RequestModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = ""
    """Text, or a list of parts of type `text`."""
    name: Label = ""
    tool_calls: list[ToolCall] = Field(default_factory=list, max_length=128)
    tool_call_id: Label = ""
    reasoning_content: str = ""
    refusal: Nothing = Field(None, exclude=True)
    annotations: Nothing = Field(None, exclude=True)
    audio: Nothing = Field(None, exclude=True)
    function_call: Nothing = Field(None, exclude=True)

    @model_validator(mode="after")
    def _says_something(self) -> ChatMessage:
        if self.role in ("system", "developer", "user") and "content" not in self.model_fields_set:
            raise together("content", "is missing: a message of this role needs one")
        return self


class Function(RequestModel):
    """A function that may be called."""

    name: ParticipantName
    description: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    """JSON schema."""
    strict: bool = False


class Tool(RequestModel):
    """What an assistant may call."""

    type: Literal["function"] = "function"
    function: Function


class NamedFunction(RequestModel):
    """Which function must be called."""

    name: ParticipantName


class NamedTool(RequestModel):
    """The tool that must be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


def _choice(value: Any) -> Any:
    if isinstance(value, dict) or value in ("none", "auto", "required"):
        return value
    raise PydanticCustomError("choice", "must be none, auto, required or a function's name")


ToolChoice = Annotated[Literal["none", "auto", "required"] | NamedTool, BeforeValidator(_choice)]

"""Fields of `/v1/messages`, Anthropic's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from scalesim.deployments.requests.chat_messages import Nothing, ParticipantName, check_schemas
from scalesim.deployments.requests.kv_hints import KvHints
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.shared_fields import Label
from scalesim.deployments.requests.values import JsonObject, branch, by_type, together

Dropped = Annotated[Any, AfterValidator(lambda value: None)]
"""What changes no answer: where Anthropic's own servers would cache, for instance."""


class TextBlock(RequestModel):
    """Text."""

    type: Literal["text"]
    text: str
    cache_control: Dropped = Field(None, exclude=True)
    citations: Nothing = Field(None, exclude=True)


class ThinkingBlock(RequestModel):
    """What an assistant thought."""

    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class ToolUseBlock(RequestModel):
    """A tool's call that an assistant made."""

    type: Literal["tool_use"]
    id: Label
    name: ParticipantName
    input: JsonObject = Field(default_factory=dict)
    cache_control: Dropped = Field(None, exclude=True)
    caller: Dropped = Field(None, exclude=True)


def _text_or_blocks(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError("content", "must be a string or a list of blocks")
    return value


class ToolResultBlock(RequestModel):
    """What a tool's call returned."""

    type: Literal["tool_result"]
    tool_use_id: Label
    content: Annotated[
        str | Annotated[list[TextBlock], Field(max_length=1024)],
        BeforeValidator(_text_or_blocks),
    ] = ""
    is_error: bool = Field(False, exclude=True)
    """Models know of it by the content alone."""
    cache_control: Dropped = Field(None, exclude=True)


Block = Annotated[
    Annotated[TextBlock, Tag(branch("text"))]
    | Annotated[ThinkingBlock, Tag(branch("thinking"))]
    | Annotated[ToolUseBlock, Tag(branch("tool_use"))]
    | Annotated[ToolResultBlock, Tag(branch("tool_result"))],
    by_type("text", "thinking", "tool_use", "tool_result"),
]


class AnthropicMessage(RequestModel):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[
        str | Annotated[list[Block], Field(min_length=1, max_length=1024)],
        BeforeValidator(_text_or_blocks),
    ]
    """Text, or a list of blocks: text, thinking, calls of tools and what they gave."""


class AnthropicTool(RequestModel):
    """A tool that may be called."""

    type: Literal["custom"] = "custom"
    """Only tools of the caller are served."""
    name: ParticipantName
    description: str = ""
    input_schema: JsonObject
    """JSON schema."""
    strict: bool = False
    cache_control: Dropped = Field(None, exclude=True)


class AnthropicChoice(RequestModel):
    """Whether tools are called."""

    type: Literal["auto", "any", "tool", "none"]
    name: ParticipantName = ""
    disable_parallel_tool_use: bool = False


class Thinking(RequestModel):
    """Whether and how long a model that reasons may do so."""

    type: Literal["disabled", "adaptive"]
    """A budget of thinking is not kept: `adaptive` has none."""


class OutputFormat(RequestModel):
    """Format of an answer."""

    type: Literal["json_schema"]
    schema_: JsonObject = Field(alias="schema")


class OutputSettings(RequestModel):
    """How an answer is written."""

    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] = "medium"


class AnthropicRequest(RequestModel):
    """What a message may ask."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    """What answers: the model served, `model:adapter`, or another one registered."""
    messages: list[AnthropicMessage] = Field(min_length=1, max_length=4096)
    """Turns so far; where the last is the assistant's, the answer goes on with it."""
    max_tokens: int = Field(ge=1, le=2**31 - 1)
    """Longest answer; with its prompt it must fit `context_length` of `/v1/models`."""
    system: Annotated[
        str | Annotated[list[TextBlock], Field(max_length=1024)],
        BeforeValidator(_text_or_blocks),
    ] = ""
    """Goes before the messages."""
    stream: bool = False
    """Send the answer in events."""
    stop_sequences: list[Annotated[str, StringConstraints(min_length=1, max_length=256)]] = Field(
        default_factory=list, max_length=32
    )
    """Strings that end the answer."""
    temperature: float = Field(1.0, ge=0, le=2)
    """0 takes the likeliest token."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of probability that is sampled from."""
    top_k: int = Field(-1, ge=-1, le=2**31 - 1)
    """Tokens sampled from; -1 and 0 are all."""
    tools: list[AnthropicTool] = Field(default_factory=list, max_length=128)
    """Tools that may be called; their schemas have 256 KiB of JSON together at most."""
    tool_choice: AnthropicChoice = Field(default_factory=lambda: AnthropicChoice(type="auto"))
    """`auto`, `any`, `tool` or `none`; `any` and `tool` need a grammar backend."""
    thinking: Thinking = Field(default_factory=lambda: Thinking(type="disabled"))
    """`disabled` or `adaptive`, for models that reason."""
    output_config: OutputSettings = Field(default_factory=OutputSettings)
    """`format`: a JSON schema, which needs a grammar backend; `effort`, for models that reason."""
    metadata: JsonObject = Field(default_factory=dict, exclude=True)
    """`user_id` names the agent where no header does."""
    kv_hints: KvHints = Field(default_factory=KvHints.empty, exclude=True)
    """Envelope of hints: who asks, what the simulation knows. What is not ours is left alone."""
    service_tier: Label = Field("auto", exclude=True)
    """Accepted, without effect."""
    cache_control: Dropped = Field(None, exclude=True)
    """Accepted, without effect."""

    @model_validator(mode="after")
    def _choosable(self) -> AnthropicRequest:
        check_schemas([tool.input_schema for tool in self.tools])
        choice = self.tool_choice
        if choice.type in ("any", "tool") and not self.tools:
            raise together("tool_choice", "needs tools")
        if (choice.type == "tool") != bool(choice.name):
            raise together("tool_choice", "of type tool needs a name, others have none")
        if choice.name and choice.name not in [tool.name for tool in self.tools]:
            raise together("tool_choice", f"names {choice.name!r}, which is not one of tools")
        return self

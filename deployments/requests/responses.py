"""Fields of `/v1/responses`."""

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

from scalesim.deployments.requests.chat import template_arguments
from scalesim.deployments.requests.chat_messages import Nothing, ParticipantName, check_schemas
from scalesim.deployments.requests.kv_hints import KvHints
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.shared_fields import Label, Stop
from scalesim.deployments.requests.values import JsonObject, branch, by_type, together


class TextItem(RequestModel):
    """A piece of a message."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    """Only text is served."""
    text: str
    annotations: Nothing = Field(None, exclude=True)
    logprobs: Annotated[Any, AfterValidator(lambda value: None)] = Field(None, exclude=True)


def _text_or_items(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError("content", "must be a string or a list of text items")
    return value


ItemText = Annotated[
    str | Annotated[list[TextItem], Field(min_length=1, max_length=1024)],
    BeforeValidator(_text_or_items),
]

Texts = Annotated[list[TextItem], Field(max_length=1024)]


class MessageItem(RequestModel):
    """One message of a conversation."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: ItemText
    """Text, or a list of items of text."""
    id: Label = Field("", exclude=True)
    status: Label = Field("", exclude=True)
    phase: Label = Field("", exclude=True)


class CallItem(RequestModel):
    """A tool's call that an assistant made."""

    type: Literal["function_call"]
    call_id: Label
    name: ParticipantName
    arguments: str = ""
    """JSON text."""
    id: Label = Field("", exclude=True)
    status: Label = Field("", exclude=True)


class CallOutputItem(RequestModel):
    """What a tool's call returned."""

    type: Literal["function_call_output"]
    call_id: Label
    output: ItemText
    id: Label = Field("", exclude=True)
    status: Label = Field("", exclude=True)


class ReasoningItem(RequestModel):
    """What an assistant thought."""

    type: Literal["reasoning"]
    summary: Texts = Field(default_factory=list)
    content: Texts = Field(default_factory=list)
    id: Label = Field("", exclude=True)
    status: Label = Field("", exclude=True)
    encrypted_content: Nothing = Field(None, exclude=True)


InputItem = Annotated[
    Annotated[MessageItem, Tag(branch("message"))]
    | Annotated[CallItem, Tag(branch("function_call"))]
    | Annotated[CallOutputItem, Tag(branch("function_call_output"))]
    | Annotated[ReasoningItem, Tag(branch("reasoning"))],
    by_type("message", "function_call", "function_call_output", "reasoning", absent="message"),
]


def _text_or_turns(value: Any) -> Any:
    if value and isinstance(value, str | list):
        return value
    raise PydanticCustomError("input", "must be a string or a list of items, and not empty")


Input = Annotated[
    str | Annotated[list[InputItem], Field(max_length=4096)], BeforeValidator(_text_or_turns)
]


class FunctionTool(RequestModel):
    """A function that may be called."""

    type: Literal["function"]
    """Only functions of the caller are served."""
    name: ParticipantName
    description: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    """JSON schema."""
    strict: bool = False


class FunctionChoice(RequestModel):
    """The function that must be called."""

    type: Literal["function"]
    name: ParticipantName


def _choice(value: Any) -> Any:
    if isinstance(value, dict) or value in ("none", "auto", "required"):
        return value
    raise PydanticCustomError("choice", "must be none, auto, required or a function's name")


class TextFormat(RequestModel):
    """Format of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: ParticipantName = "answer"
    description: str = ""
    schema_: JsonObject = Field(default_factory=dict, alias="schema")
    strict: bool = False

    @model_validator(mode="after")
    def _complete(self) -> TextFormat:
        if (self.type == "json_schema") != ("schema_" in self.model_fields_set):
            raise together("schema", "is for type json_schema, which needs it")
        return self


class TextSettings(RequestModel):
    """How an answer is written."""

    format: TextFormat = Field(default_factory=lambda: TextFormat(type="text"))
    verbosity: Literal["medium"] = Field("medium", exclude=True)
    """Only the default."""


class Reasoning(RequestModel):
    """How much a model that reasons should do so."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] = "medium"
    summary: Literal["auto", "concise", "detailed"] = Field("auto", exclude=True)
    generate_summary: Literal["auto", "concise", "detailed"] = Field("auto", exclude=True)


class ResponsesRequest(RequestModel):
    """What a response may ask."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)] = ""
    """What answers: the model served, `model:adapter`, or another one registered."""
    input: Input
    """Text, or items: messages, calls of functions and what they gave, reasoning."""
    instructions: str = ""
    """Goes before the input as a system message."""
    max_output_tokens: int = Field(16, ge=1, le=2**31 - 1)
    """Longest answer; with its prompt it must fit `context_length` of `/v1/models`."""
    stream: bool = False
    """Send the answer in events."""
    temperature: float = Field(1.0, ge=0, le=2)
    """0 takes the likeliest token."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of probability that is sampled from."""
    text: TextSettings = Field(default_factory=TextSettings)
    """`format`: `text`, `json_object` or `json_schema`; needs a grammar backend."""
    tools: list[FunctionTool] = Field(default_factory=list, max_length=128)
    """Functions that may be called; their schemas have 256 KiB of JSON together at most."""
    tool_choice: Annotated[
        Literal["none", "auto", "required"] | FunctionChoice, BeforeValidator(_choice)
    ] = "auto"
    """`none`, `auto`, `required` or one function; the last two need a grammar backend."""
    parallel_tool_calls: bool = True
    """Several calls in one answer."""
    reasoning: Reasoning = Field(default_factory=Reasoning)
    """For models that reason: `effort`."""
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] = Field(
        default_factory=list, max_length=8
    )
    """`message.output_text.logprobs`, not with `stream`; reasoning is in the open."""
    top_logprobs: int = Field(0, ge=0, le=20)
    """Likeliest tokens returned at each place; needs logprobs in `include`."""
    metadata: JsonObject = Field(default_factory=dict)
    """Comes back with the answer."""
    store: bool = True
    """Answers are not kept, whatever it says."""
    truncation: Literal["disabled"] = "disabled"
    """A prompt is never cut."""
    background: Literal[False] = Field(False, exclude=True)
    """Only false."""
    stream_options: JsonObject = Field(default_factory=dict, exclude=True)
    """Accepted, without effect."""
    service_tier: Label = Field("auto", exclude=True)
    """Accepted, without effect."""
    safety_identifier: Label = Field("", exclude=True)
    """Accepted, without effect."""
    prompt_cache_retention: Label = Field("", exclude=True)
    """Accepted, without effect."""

    top_k: int = Field(-1, ge=-1, le=2**31 - 1)
    """Tokens sampled from; -1 and 0 are all (SGLang)."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Least probability sampled from, as a share of the likeliest token's (SGLang)."""
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    """Lowers tokens by how often they were generated (SGLang)."""
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    """Lowers tokens that were generated (SGLang)."""
    repetition_penalty: float = Field(1.0, ge=0.01, le=2)
    """Divides the logits of tokens that were seen (SGLang)."""
    stop: Stop = Field(default_factory=list)
    """A string or several that end the answer (SGLang)."""
    chat_template_kwargs: Annotated[JsonObject, AfterValidator(template_arguments)] = Field(
        default_factory=dict
    )
    """Variables of the model's chat template (SGLang)."""

    user: str = Field("", exclude=True)
    """Names the agent where no header, `session_id` or `prompt_cache_key` does."""
    session_id: str = Field("", exclude=True)
    """Names the agent where no header does."""
    prompt_cache_key: str = Field("", exclude=True)
    """Names the agent where no header or `session_id` does."""
    kv_hints: KvHints = Field(default_factory=KvHints.empty, exclude=True)
    """Envelope of hints: who asks, what the simulation knows. What is not ours is left alone."""

    @model_validator(mode="after")
    def _together(self) -> ResponsesRequest:
        asked = "message.output_text.logprobs" in self.include
        if self.top_logprobs and not asked:
            raise together("top_logprobs", "needs message.output_text.logprobs in include")
        if asked and self.stream:
            raise together("include", "is not served with logprobs and stream: leave one out")
        check_schemas([tool.parameters for tool in self.tools])
        if self.tool_choice == "required" and not self.tools:
            raise together("tool_choice", "needs tools")
        if isinstance(self.tool_choice, FunctionChoice):
            name = self.tool_choice.name
            if name not in [tool.name for tool in self.tools]:
                raise together("tool_choice", f"names {name!r}, which is not one of tools")
        return self

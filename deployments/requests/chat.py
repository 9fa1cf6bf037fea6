"""Fields of `/v1/chat/completions`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from scalesim.deployments.requests.answer_formats import ResponseFormat
from scalesim.deployments.requests.chat_messages import (
    ChatMessage,
    NamedTool,
    Tool,
    ToolChoice,
    check_schemas,
)
from scalesim.deployments.requests.shared_fields import Label, SharedFields
from scalesim.deployments.requests.values import JsonObject, plain_json, together

RESERVED = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "max_length",
        "messages",
        "padding",
        "processor_kwargs",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "self",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
"""Arguments of a tokenizer's `apply_chat_template`, which are not the template's own."""


def template_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return variables of a chat template if none is the server's own.

    Raises:
        PydanticCustomError: One is, or cannot name a variable.
    """
    for name in arguments:
        if name in RESERVED:
            raise PydanticCustomError("reserved", f"{name[:60]!r} is the server's: leave it out")
        if not name.isidentifier() or len(name) > 64:
            raise PydanticCustomError("name", f"{name[:60]!r} cannot name a template's variable")
    return arguments


class ChatRequest(SharedFields):
    """What a chat may ask."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    """Turns so far: role and text."""
    max_completion_tokens: int = Field(16, ge=1, le=2**31 - 1)
    """Most tokens of the answer; believed before `max_tokens`. Without both it may fill the
    context."""
    logprobs: bool = False
    """Return the log probability of each token."""
    top_logprobs: int = Field(0, ge=0, le=20)
    """Likeliest tokens returned at each place; needs `logprobs`."""
    response_format: ResponseFormat = Field(default_factory=lambda: ResponseFormat(type="text"))
    """`text`, `json_object` or `json_schema`; needs a grammar backend."""
    tools: list[Tool] = Field(default_factory=list, max_length=128)
    """Functions that may be called; their schemas have 256 KiB of JSON together at most."""
    tool_choice: ToolChoice = "auto"
    """`none`, `auto`, `required` or one function; the last two need a grammar backend."""
    parallel_tool_calls: bool = True
    """Several calls in one answer."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] = "medium"
    """How much a model that reasons should do so."""

    chat_template_kwargs: Annotated[JsonObject, AfterValidator(template_arguments)] = Field(
        default_factory=dict
    )
    """Variables of the model's chat template, such as `enable_thinking` (SGLang and vLLM)."""
    continue_final_message: bool = False
    """Go on with the last message, an assistant's (SGLang and vLLM)."""
    separate_reasoning: bool = True
    """Separate reasoning from the answer (SGLang)."""
    stream_reasoning: bool = True
    """Stream the reasoning too (SGLang)."""

    store: bool = Field(False, exclude=True)
    """Accepted, without effect."""
    metadata: JsonObject = Field(default_factory=dict, exclude=True)
    """Accepted, without effect."""
    service_tier: Label = Field("auto", exclude=True)
    """Accepted, without effect."""
    safety_identifier: Label = Field("", exclude=True)
    """Accepted, without effect."""
    prompt_cache_retention: Label = Field("", exclude=True)
    """Accepted, without effect."""
    prediction: Annotated[Any, AfterValidator(plain_json)] = Field(None, exclude=True)
    """Accepted, without effect."""
    modalities: list[Literal["text"]] = Field([], max_length=1, exclude=True)
    """Only text."""
    verbosity: Literal["low", "medium", "high"] = Field("medium", exclude=True)
    """Length of answers, for models whose chat template knows it: its variable `verbosity`."""

    @model_validator(mode="before")
    @classmethod
    def _verbosity(cls, fields: Any) -> Any:
        """Hand a length of answers that is asked for to the template, which may not know it."""
        asked = fields.get("verbosity") if isinstance(fields, dict) else None
        variables = fields.get("chat_template_kwargs") or {} if asked else None
        if asked in (None, "medium") or not isinstance(variables, dict):
            return fields
        return {**fields, "chat_template_kwargs": {"verbosity": asked, **variables}}

    @model_validator(mode="after")
    def _logprobs(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise together("top_logprobs", "needs logprobs to be true")
        return self

    @model_validator(mode="after")
    def _choosable(self) -> ChatRequest:
        functions = [tool.function for tool in self.tools]
        check_schemas([function.parameters for function in functions])
        if self.tool_choice == "required" and not functions:
            raise together("tool_choice", "needs tools")
        if isinstance(self.tool_choice, NamedTool):
            name = self.tool_choice.function.name
            if name not in [function.name for function in functions]:
                raise together("tool_choice", f"names {name!r}, which is not one of tools")
        return self

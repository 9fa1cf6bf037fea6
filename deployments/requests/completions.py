"""Fields of `/v1/completions`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from scalesim.deployments.requests.answer_formats import ResponseFormat
from scalesim.deployments.requests.shared_fields import MOST_SEQUENCES, SharedFields
from scalesim.deployments.requests.values import together

_LARGEST_ID = 2**31 - 1


def _prompt(value: Any) -> Any:
    """Return a prompt: a string, strings, token ids, or lists of token ids."""
    if value and (isinstance(value, str) or (isinstance(value, list) and _alike(value))):
        return value
    raise PydanticCustomError(
        "prompt", "must be a string, strings, token ids or lists of token ids, and not empty"
    )


def _alike(value: list[Any]) -> bool:
    if all(isinstance(one, str) for one in value):
        return True
    rows = value if isinstance(value[0], list) else [value]
    return all(isinstance(row, list) and bool(row) and _are_ids(row) for row in rows)


def _are_ids(row: list[Any]) -> bool:
    return set(map(type, row)) == {int} and min(row) >= 0 and max(row) <= _LARGEST_ID


_ID = {"type": "integer", "minimum": 0, "maximum": _LARGEST_ID}
_SHAPES = ({"type": "string"}, _ID, {"type": "array", "items": _ID, "minItems": 1})

Prompt = Annotated[
    Any,
    PlainValidator(_prompt),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                *({"type": "array", "items": shape, "minItems": 1} for shape in _SHAPES),
            ]
        }
    ),
]


class CompletionsRequest(SharedFields):
    """What a completion may ask."""

    prompt: Prompt
    """A string, strings, token ids or lists of token ids; none without a token."""
    best_of: int = Field(1, ge=1, le=128, exclude=True)
    """Only as many as `n`."""
    echo: bool = False
    """Begin the answer with the prompt; not with `logprobs`."""
    logprobs: int = Field(0, ge=0, le=20)
    """Likeliest tokens returned at each place."""
    response_format: ResponseFormat = Field(default_factory=lambda: ResponseFormat(type="text"))
    """`text`, `json_object` or `json_schema`; needs a grammar backend (SGLang and vLLM)."""
    suffix: str = Field("", max_length=0, exclude=True)
    """Only empty."""

    @model_validator(mode="after")
    def _together(self) -> CompletionsRequest:
        if self.best_of > self.n:
            raise together("best_of", "is not served beyond n: use n")
        if self.echo and "logprobs" in self.model_fields_set:
            raise together("echo", "is not served with logprobs: leave one of them out")
        many = isinstance(self.prompt, list) and not isinstance(self.prompt[0], int)
        prompts = len(self.prompt) if many else 1
        if prompts * self.n > MOST_SEQUENCES:
            raise together(
                "prompt",
                f"{prompts} prompts of {self.n} answers are over {MOST_SEQUENCES}: send them in "
                "several requests",
            )
        return self

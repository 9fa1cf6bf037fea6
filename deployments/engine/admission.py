"""What an engine can take, checked once a prompt is tokenized and before the engine sees it.

An engine trusts its requests: a prompt without tokens or an id outside the vocabulary ends it, and
one that does not fit is cut without a word. So every request passes here first.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scalesim.deployments.engine.grammar import check_grammar
from scalesim.errors import InvalidRequestError

GRAMMARS = ("json_schema", "structural_tag", "regex", "ebnf")
"""Sampling parameters that make an engine follow a grammar."""


class ContextLengthError(InvalidRequestError):
    """A prompt with its answer does not fit."""

    code = "context_length_exceeded"


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one engine can take.

    Attributes:
        vocabulary: Token ids are below this.
        context_length: Most tokens of a prompt with its answer.
        grammar: Whether answers can be made to follow a grammar.
        answer: Tokens of an answer whose length is not asked for; None lets it fill the context.
    """

    vocabulary: int
    context_length: int
    grammar: bool
    answer: int | None = None

    @classmethod
    def of(cls, context: int, pool: int, page: int, vocabulary: int, grammar: bool) -> EngineLimits:
        """Return the limits of an engine.

        SGLang keeps six tokens of the shorter of context and pool to itself, and a page
        beside the one that a prompt fills in part.

        Args:
            context: Tokens that the model can look back on.
            pool: Tokens of KV that fit on the device.
            page: Tokens of a page.
            vocabulary: Token ids.
            grammar: Whether there is a grammar backend.
        """
        return cls(vocabulary, min(min(context, pool) - 6, pool - 2 * page), grammar)


class FieldNames(NamedTuple):
    """Names of a request's fields in the caller's body, for messages of errors.

    Attributes:
        prompt: What is answered.
        answer: How long the answer may be.
        format: What makes it follow a grammar.
    """

    prompt: str = "prompt"
    answer: str = "max_tokens"
    format: str = "response_format"

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> FieldNames:
        """Return the names of the fields that a body has."""
        return cls(
            prompt=_present(body, "messages", "input", "prompt"),
            answer=_present(body, "max_completion_tokens", "max_output_tokens", "max_tokens"),
            format=_present(
                body, "response_format", "text", "output_config", "tool_choice", "tools"
            ),
        )


def _present(body: Mapping[str, Any], *names: str) -> str:
    """Return the first of some fields that is there, else the last."""
    return next((name for name in names if name in body), names[-1])


def check_asked(body: Mapping[str, Any], limits: EngineLimits) -> None:
    """Refuse an answer longer than any that fits, before its prompt is tokenized.

    Raises:
        ContextLengthError: It would not fit; says what does.
    """
    for field in ("max_completion_tokens", "max_output_tokens", "max_tokens", "min_tokens"):
        asked = body.get(field)
        if asked is not None and asked >= limits.context_length:
            raise ContextLengthError(
                f"{field}: {asked} tokens do not fit: a prompt with its answer may have "
                f"{limits.context_length}",
                field,
            )


def admit(
    prompts: Sequence[Sequence[int]],
    sampling: MutableMapping[str, Any],
    limits: EngineLimits,
    names: FieldNames = FieldNames(),  # noqa: B008 - immutable
) -> None:
    """Check one request of one or more prompts.

    Args:
        prompts: Token ids of each.
        sampling: SGLang's sampling parameters, the same for all; `top_k` is brought into range,
            and an answer without a length gets one where there is one for all.
        limits: Limits of the engine.
        names: Names of the fields, for messages.

    Raises:
        InvalidRequestError: The engine could not take it; names the field.
        ContextLengthError: It would not fit; says what does.
    """
    for prompt in prompts:
        if not len(prompt):
            raise InvalidRequestError(
                f"{names.prompt}: one of the prompts has no tokens: send text in each",
                names.prompt,
            )
        _check_ids(names.prompt, (min(prompt), max(prompt)), limits)
    _check_ids("stop_token_ids", sampling.get("stop_token_ids") or (), limits)
    _check_ids("logit_bias", [int(key) for key in sampling.get("logit_bias") or ()], limits)
    _check_room(max(map(len, prompts)), sampling, limits, names)
    _check_format(sampling, limits, names.format)
    top_k = sampling.get("top_k")
    if top_k is not None and not 0 < top_k < limits.vocabulary:
        sampling["top_k"] = -1


def _check_ids(field: str, ids: Sequence[int], limits: EngineLimits) -> None:
    for one in ids:
        if not 0 <= one < limits.vocabulary:
            raise InvalidRequestError(
                f"{field}: {one} is not a token of the model: use 0 to {limits.vocabulary - 1}",
                field,
            )


def _check_room(
    prompt: int, sampling: MutableMapping[str, Any], limits: EngineLimits, names: FieldNames
) -> None:
    room = limits.context_length - prompt
    if room < 1:
        raise ContextLengthError(
            f"{names.prompt}: {prompt} tokens do not fit: it may have {limits.context_length - 1}, "
            f"and {limits.context_length} with its answer",
            names.prompt,
        )
    for field, name in ((names.answer, "max_new_tokens"), ("min_tokens", "min_new_tokens")):
        asked = sampling.get(name)
        if asked is not None and asked > room:
            raise ContextLengthError(
                f"{field}: a prompt of {prompt} tokens leaves room for {room} of the {asked} asked "
                f"for: use at most {room}, or a shorter prompt ({limits.context_length} fit)",
                field,
            )
    longest, shortest = sampling.get("max_new_tokens"), sampling.get("min_new_tokens") or 0
    if longest is None and limits.answer is not None:
        sampling["max_new_tokens"] = min(room, max(limits.answer, shortest))
    if longest is not None and shortest > longest:
        raise InvalidRequestError(
            f"min_tokens: {shortest} is more than {names.answer}, {longest}: use at most that",
            "min_tokens",
        )


def _check_format(sampling: Mapping[str, Any], limits: EngineLimits, field: str) -> None:
    named = next((name for name in GRAMMARS if sampling.get(name)), None)
    if named is None:
        return
    if not limits.grammar:
        raise InvalidRequestError(
            f"{field}: this stack answers without a format, and tool_choice is auto or none: "
            "leave it out, or start the stack with engine.extra_args.grammar_backend",
            field,
        )
    if sampling.get("min_new_tokens"):
        raise InvalidRequestError(
            "min_tokens: an answer in a format ends where that does: leave one of them out",
            "min_tokens",
        )
    check_grammar(named, sampling[named], field)

"""EngineLimits of an engine as plain rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesim.deployments.engine.admission import (
    ContextLengthError,
    EngineLimits,
    FieldNames,
    admit,
    check_asked,
)
from scalesim.errors import InvalidRequestError

LIMITS = EngineLimits(vocabulary=1000, context_length=100, grammar=True)


def field_of(
    prompts: list[list[int]], sampling: dict[str, Any], limits: EngineLimits = LIMITS
) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        admit(prompts, sampling, limits)
    return str(caught.value.field)


@given(
    context=st.integers(64, 4000),
    pool=st.integers(128, 4000),
    page=st.sampled_from([1, 16, 64]),
    prompt=st.integers(1, 4000),
)
def test_what_is_admitted_is_not_cut(context: int, pool: int, page: int, prompt: int) -> None:
    limits = EngineLimits.of(context, pool, page, 1000, False)
    tokens = limits.context_length - prompt
    if tokens < 1:
        return
    admit([[1] * prompt], {"max_new_tokens": tokens}, limits)
    # As SGLang's scheduler bounds a prompt and cuts its answer.
    longest = min(context, pool) - 1
    assert prompt < longest - 5
    filled = -(-prompt // page) * page
    assert tokens <= min(longest - prompt - 1, pool - filled - page - 1)


@pytest.mark.parametrize(
    ("field", "prompts", "sampling"),
    [
        ("prompt", [[]], {}),
        ("prompt", [[1], []], {}),
        ("prompt", [[1000]], {}),
        ("prompt", [[1], [-1]], {}),
        ("prompt", [[1] * 100], {}),
        ("max_tokens", [[1] * 90], {"max_new_tokens": 11}),
        ("min_tokens", [[1] * 90], {"min_new_tokens": 11}),
        ("min_tokens", [[1]], {"min_new_tokens": 5, "max_new_tokens": 4}),
        ("stop_token_ids", [[1]], {"stop_token_ids": [1, 1000]}),
        ("logit_bias", [[1]], {"logit_bias": {"1000": 1.0}}),
        ("min_tokens", [[1]], {"json_schema": "{}", "min_new_tokens": 1}),
        ("response_format", [[1]], {"ebnf": "x" * 40_000}),
    ],
)
def test_what_an_engine_cannot_take_is_refused(
    field: str, prompts: list[list[int]], sampling: dict[str, Any]
) -> None:
    assert field_of(prompts, sampling) == field


def test_what_does_not_fit_says_what_does() -> None:
    with pytest.raises(ContextLengthError, match="use at most 10, or a shorter prompt"):
        admit([[1] * 90], {"max_new_tokens": 11}, LIMITS)


@pytest.mark.parametrize(
    ("field", "body", "prompt", "sampling"),
    [
        ("messages", {"messages": []}, [1] * 100, {}),
        ("messages", {"messages": []}, [], {}),
        ("max_completion_tokens", {"max_completion_tokens": 9}, [1] * 90, {"max_new_tokens": 11}),
        ("tool_choice", {"tools": [], "tool_choice": "required"}, [1], {"ebnf": "x" * 40_000}),
        ("tools", {"tools": []}, [1], {"json_schema": '{"pattern": "a"}'}),
        ("response_format", {"response_format": {}}, [1], {"json_schema": '{"pattern": "a"}'}),
    ],
)
def test_a_refusal_names_the_callers_own_field(
    field: str, body: dict[str, Any], prompt: list[int], sampling: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{field}: ") as caught:
        admit([prompt], sampling, LIMITS, FieldNames.of(body))
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "min_tokens"])
def test_what_fits_with_no_prompt_is_refused_at_once(field: str) -> None:
    with pytest.raises(ContextLengthError, match="may have 100"):
        check_asked({field: 100}, LIMITS)
    check_asked({field: 99}, LIMITS)


def test_without_a_grammar_backend_formats_are_refused() -> None:
    bare = EngineLimits(1000, 100, grammar=False)
    assert field_of([[1]], {"json_schema": "{}"}, bare) == "response_format"
    admit([[1]], {"json_schema": None}, bare)


@pytest.mark.parametrize(
    ("asked", "taken"), [(0, -1), (-1, -1), (999, 999), (1000, -1), (2**30, -1)]
)
def test_top_k_of_all_tokens_is_none(asked: int, taken: int) -> None:
    sampling = {"top_k": asked}
    admit([[1]], sampling, LIMITS)
    assert sampling["top_k"] == taken


def test_what_the_server_made_of_tools_passes() -> None:
    tag = {"format": {"tags": [{"content": {"type": "regex", "pattern": "[0-9]+"}}]}}
    admit([[1]], {"structural_tag": json.dumps(tag)}, LIMITS)
    admit([[1]], {"ebnf": 'root ::= "a"'}, LIMITS)


ARRAYS = [{"type": "array", "maxItems": i} for i in range(17)]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "(a+)+"},
        {"type": "object", "patternProperties": {"a": {}}},
        {"anyOf": ARRAYS},
        {"$defs": {"x": {"oneOf": ARRAYS}}, "$ref": "#/$defs/x"},
        {"type": "string", "format": "uri-template"},
        {"type": "string", "maxLength": 5000},
        {"type": "array", "items": {"type": "string", "maxLength": 3000}, "minItems": 3000},
        {"type": "object", "properties": {f"p{i}": {} for i in range(201)}},
        {"enum": [f"e{i}" for i in range(201)]},
        {"description": "x" * 40_000},
    ],
)
def test_schemas_that_could_hold_an_engine_are_refused(schema: dict[str, Any]) -> None:
    assert field_of([[1]], {"json_schema": json.dumps(schema)}) == "response_format"
    tag = {"format": {"tags": [{"content": {"type": "json_schema", "json_schema": schema}}]}}
    assert field_of([[1]], {"structural_tag": json.dumps(tag)}) == "response_format"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"properties": {"pattern": {"type": "string"}, "format": {"type": "string"}}},
        {"properties": {"a": {"enum": ["pattern"], "default": {"pattern": 1}}}},
        {"anyOf": [{"type": "string", "maxLength": 100}, {"type": "null"}], "format": "date"},
    ],
)
def test_plain_schemas_pass(schema: dict[str, Any]) -> None:
    admit([[1]], {"json_schema": json.dumps(schema)}, LIMITS)


@pytest.mark.parametrize(
    ("prompt", "asked", "given"),
    [(10, None, 20), (10, 50, 50), (90, None, 10), (10, 3, 3)],
)
def test_an_answer_without_a_length_gets_the_one_for_all(
    prompt: int, asked: int | None, given: int
) -> None:
    limits = EngineLimits(vocabulary=1000, context_length=100, grammar=False, answer=20)
    sampling: dict[str, Any] = {"max_new_tokens": asked}
    admit([[5] * prompt], sampling, limits)
    assert sampling["max_new_tokens"] == given


def test_the_shortest_answer_asked_for_goes_before_the_length_for_all() -> None:
    limits = EngineLimits(vocabulary=1000, context_length=100, grammar=False, answer=20)
    sampling: dict[str, Any] = {"max_new_tokens": None, "min_new_tokens": 30}
    admit([[5]], sampling, limits)
    assert sampling["max_new_tokens"] == 30

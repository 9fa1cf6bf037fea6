"""Bodies against the allow-list: what passes, and which field is named where one does not."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from openai.types import completion_create_params as completion_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.chat.chat_completion_message import ChatCompletionMessage
from openai.types.responses import response_create_params as response_params

from scalesim.deployments.calls import Endpoint
from scalesim.deployments.requests import REQUESTS, accepted
from scalesim.deployments.requests.chat import RESERVED
from scalesim.deployments.requests.chat_messages import ChatMessage
from scalesim.deployments.requests.refusal import REFUSED
from scalesim.deployments.requests.values import MOST_DEPTH
from scalesim.errors import InvalidRequestError

BODY: dict[Endpoint, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "completions": {"prompt": "hi"},
    "responses": {"input": "hi"},
    "messages": {
        "model": "scalesim",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 2,
    },
    "tokenize": {"prompt": "hi"},
}
OPENAIS: tuple[Endpoint, ...] = ("chat", "completions")
FUNCTION = {"name": "f", "parameters": {"type": "object", "default": None}}


def refused(endpoint: Endpoint, **more: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        accepted(endpoint, {**BODY[endpoint], **more})
    assert caught.value.field is not None
    assert caught.value.field in str(caught.value)
    return caught.value


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_null_is_as_absent(endpoint: Endpoint) -> None:
    required = set(BODY[endpoint])
    names = {
        field.alias or name for name, field in REQUESTS[endpoint].model_fields.items()
    } - required
    assert accepted(endpoint, {**BODY[endpoint], **dict.fromkeys(names)}) == BODY[endpoint]


def test_every_field_of_openai_is_known() -> None:
    asked = {
        "chat": chat_params.CompletionCreateParamsBase.__annotations__,
        "completions": completion_params.CompletionCreateParamsBase.__annotations__,
        "responses": response_params.ResponseCreateParamsBase.__annotations__,
    }
    for endpoint, fields in asked.items():
        known = REQUESTS[endpoint].model_fields.keys() | REFUSED.keys()  # type: ignore[index]
        assert fields.keys() - {"prompt"} <= known


def test_an_answers_message_can_be_sent_back() -> None:
    assert ChatCompletionMessage.model_fields.keys() <= ChatMessage.model_fields.keys()
    call = {"id": "a", "index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}
    message = {
        **{"role": "assistant", "content": None, "refusal": None, "annotations": []},
        **{"audio": None, "function_call": None, "reasoning_content": None, "tool_calls": [call]},
    }
    taken = accepted("chat", {"messages": [*BODY["chat"]["messages"], message]})
    assert taken["messages"][1] == {"role": "assistant", "tool_calls": [call]}


def test_what_is_free_in_form_stays_as_it_was() -> None:
    more = {
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "chat_template_kwargs": {"enable_thinking": None},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"enum": [None, 1]}},
        },
    }
    assert accepted("chat", {**BODY["chat"], **more}) == {**BODY["chat"], **more}


def test_what_names_the_agent_or_changes_nothing_stays_here() -> None:
    more = {"user": "", "session_id": "s", "prompt_cache_key": "k", "store": True}
    more |= {"metadata": {"a": "b"}, "service_tier": "flex", "safety_identifier": "x"}
    assert accepted("chat", {**BODY["chat"], **more, "verbosity": "medium"}) == BODY["chat"]


def test_a_length_that_is_asked_for_is_a_variable_of_the_template() -> None:
    taken = accepted("chat", {**BODY["chat"], "verbosity": "low"})
    assert taken == {**BODY["chat"], "chat_template_kwargs": {"verbosity": "low"}}


@pytest.mark.parametrize(("given", "stop"), [("", []), (["", "a"], ["a"]), ("a", ["a"]), ([], [])])
def test_an_empty_stop_ends_nothing(given: Any, stop: list[str]) -> None:
    assert accepted("chat", {**BODY["chat"], "stop": given})["stop"] == stop


@pytest.mark.parametrize("name", [*REFUSED, "zzz", "x" * 999, "regex2", ""])
@pytest.mark.parametrize("endpoint", REQUESTS)
def test_other_fields_are_refused_by_name(endpoint: Endpoint, name: str) -> None:
    assert refused(endpoint, **{name: 1}).field == (name[:60] or "body")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 0),
        ("n", -1),
        ("n", 20000),
        ("n", True),
        ("n", 1.0),
        ("n", 2**63),
        ("seed", 2**63),
        ("top_k", 2**31),
        ("min_p", 2),
        ("repetition_penalty", 1e-300),
        ("temperature", float("nan")),
        ("temperature", 10**400),
        ("temperature", "1"),
        ("top_p", 0),
        ("max_tokens", 0),
        ("min_tokens", 2**63),
        ("stop", ["a"] * 33),
        ("stop.0", ["a" * 257]),
        ("stop.0", [5]),
        ("stop", 5),
        ("stop_token_ids.0", [2**31]),
        ("stop_token_ids.0", [-1]),
        ("stop_token_ids", list(range(65))),
        ("logit_bias.5", {"5": 1e300}),
        ("logit_bias.-1", {"-1": 1}),
        ("logit_bias.٣", {"٣": 1}),
        ("logit_bias", {str(i): 1 for i in range(1025)}),
        ("user", 7),
        ("stream", "yes"),
        ("stream_options.include_usage", {"include_usage": 1}),
        ("stream_options.zzz", {"zzz": 1}),
        ("model", 5),
    ],
)
@pytest.mark.parametrize("endpoint", OPENAIS)
def test_bounds_are_kept_by_name(endpoint: Endpoint, field: str, value: Any) -> None:
    assert refused(endpoint, **{field.partition(".")[0]: value}).field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", BODY["chat"]["messages"] * 4097),
        ("messages.0.content", [{"role": "user", "content": 5}]),
        ("messages.0.content", [{"role": "user"}]),
        ("messages.0.content.0.type", [{"role": "user", "content": [{"type": "image_url"}]}]),
        ("messages.0.role", [{"role": "king", "content": "x"}]),
        ("messages.0.zzz", [{"role": "user", "content": "x", "zzz": 1}]),
        ("messages.0.audio", [{"role": "assistant", "audio": {"id": "x"}}]),
        ("top_logprobs", 3),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("tools", [{"function": {"name": "f", "parameters": {"title": "x" * 2**18}}}]),
        ("chat_template_kwargs", {"tokenize": False}),
        ("chat_template_kwargs", {"chat_template": "{{ x }}"}),
        ("chat_template_kwargs", {"a b": 1}),
        ("chat_template_kwargs", nested(MOST_DEPTH + 1)),
        ("chat_template_kwargs", {"a": 2**63}),
        ("chat_template_kwargs", {"a": b"x"}),
        ("chat_template_kwargs", {"a": [0] * 20_001}),
        ("tools", [{"type": "function", "function": FUNCTION}] * 129),
        ("tools.0.function.name", [{"type": "function", "function": {"name": "a b"}}]),
        ("tools.0.type", [{"type": "custom", "function": FUNCTION}]),
        ("tool_choice", "sometimes"),
        ("tool_choice.function", {"type": "function"}),
        ("response_format.type", {"type": "structural_tag"}),
        ("response_format.json_schema", {"type": "json_schema"}),
        ("modalities.0", ["audio"]),
        ("verbosity", "loud"),
        ("reasoning_effort", 0.5),
    ],
)
def test_bounds_of_a_chat(field: str, value: Any) -> None:
    assert refused("chat", **{field.partition(".")[0]: value}).field == field


@pytest.mark.parametrize(
    ("field", "more"),
    [
        *(
            ("prompt", {"prompt": p})
            for p in ("", [], [[]], [[], [1]], [1, "a"], 5, {}, [2**63], [-1])
        ),
        *(("prompt", {"prompt": p}) for p in ([True], [None], ["a"] * 257, None)),
        ("prompt", {"prompt": ["a"] * 3, "n": 100}),
        ("best_of", {"best_of": 2}),
        ("echo", {"echo": True, "logprobs": 0}),
        ("logprobs", {"logprobs": 21}),
        ("suffix", {"suffix": "x"}),
    ],
)
def test_bounds_of_a_completion(field: str, more: dict[str, Any]) -> None:
    assert refused("completions", **more).field == field


@pytest.mark.parametrize("prompt", [" ", ["a", ""], [1, 2], [[1], [2, 3]]])
def test_prompts_of_every_shape_pass(prompt: Any) -> None:
    assert accepted("completions", {"prompt": prompt, "best_of": 1}) == {"prompt": prompt}


@pytest.mark.slow
def test_the_servers_template_arguments_are_reserved() -> None:
    transformers = pytest.importorskip("transformers.tokenization_utils_base")
    base = transformers.PreTrainedTokenizerBase
    names = set(inspect.signature(base.apply_chat_template).parameters) - {"kwargs"}
    assert names <= RESERVED


def test_depth_within_the_bound_passes() -> None:
    accepted("chat", {**BODY["chat"], "chat_template_kwargs": nested(MOST_DEPTH)})


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "x"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "1"}
TEXT_FORMAT = {"type": "json_schema", "name": "s", "schema": {"enum": [None, 1]}}


def test_what_a_response_gave_can_be_sent_back() -> None:
    part = {"type": "output_text", "text": "ho", "annotations": [], "logprobs": []}
    answer = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    items = [{"role": "user", "content": "hi"}, {**answer, "content": [part]}, CALL, OUTPUT]
    taken = accepted("responses", {"input": items, "text": {"format": TEXT_FORMAT}})
    assert taken["text"]["format"] == TEXT_FORMAT
    sent = {"type": "message", "role": "assistant"}
    assert taken["input"] == [
        items[0],
        {**sent, "content": [{"type": "output_text", "text": "ho"}]},
        {name: value for name, value in CALL.items() if name != "id"},
        OUTPUT,
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", []),
        ("input", 5),
        ("input.0", [5]),
        ("input.0", [{"type": "item_reference", "id": "x"}]),
        ("input.0.role", [{"role": "king", "content": "x"}]),
        ("input.0.content.0.type", [{"role": "user", "content": [{"type": "input_image"}]}]),
        ("input.0.name", [{**CALL, "name": "a b"}]),
        ("max_output_tokens", 0),
        ("temperature", 3),
        ("text.format.schema", {"format": {"type": "json_schema", "name": "s"}}),
        ("tools.0.type", [{"type": "web_search"}]),
        ("tool_choice", {"type": "function", "name": "f"}),
        ("tool_choice", "required"),
        ("top_logprobs", 2),
        ("truncation", "auto"),
        ("background", True),
        ("include.0", ["file_search_call.results"]),
        ("chat_template_kwargs", {"tokenize": False}),
    ],
)
def test_bounds_of_responses_are_kept_by_name(field: str, value: Any) -> None:
    assert refused("responses", **{field.partition(".")[0]: value}).field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages.0.role", [{"role": "system", "content": "x"}]),
        ("messages.0.content", [{"role": "user", "content": None}]),
        ("messages.0.content.0", [{"role": "user", "content": [{"type": "image", "source": {}}]}]),
        ("messages.0.content.0.text", [{"role": "user", "content": [{"type": "text"}]}]),
        ("max_tokens", 0),
        ("tools.0.type", [{"type": "web_search_20250305", "name": "web_search"}]),
        ("tools.0.input_schema", [{"name": "f"}]),
        ("tool_choice", {"type": "any"}),
        ("tool_choice", {"type": "auto", "name": "f"}),
        ("thinking.type", {"type": "enabled", "budget_tokens": 2000}),
        ("thinking.budget_tokens", {"type": "adaptive", "budget_tokens": 2000}),
        ("stop_sequences.0", [""]),
        ("n", 2),
    ],
)
def test_bounds_of_messages_are_kept_by_name(field: str, value: Any) -> None:
    assert refused("messages", **{field.partition(".")[0]: value}).field == field


def test_a_message_says_its_length() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        accepted("messages", {"model": "m", "messages": BODY["messages"]["messages"]})
    assert caught.value.field == "max_tokens"


def test_what_changes_no_message_stays_here() -> None:
    cached = {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    more = {"system": [cached], "metadata": {"user_id": "u"}, "service_tier": "auto"}
    taken = accepted("messages", {**BODY["messages"], **more})
    assert taken == {**BODY["messages"], "system": [{"type": "text", "text": "s"}]}


@pytest.mark.parametrize(
    "more",
    [
        {"messages": BODY["chat"]["messages"]},
        {"messages": []},
        {"prompt": None},
        {"prompt": [], "n": 1},
        {"prompt": None, "messages": []},
    ],
)
def test_tokens_are_those_of_a_prompt_or_of_messages(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        accepted("tokenize", {**BODY["tokenize"], **more})


def test_tools_whose_tokens_are_asked_for_are_bounded_as_those_that_may_be_called() -> None:
    parameters = {str(number): "x" * 100 for number in range(1000)}
    tools = [{"function": {"name": f"f{number}", "parameters": parameters}} for number in range(9)]
    with pytest.raises(InvalidRequestError, match="bytes of schemas"):
        accepted("tokenize", {"messages": BODY["chat"]["messages"], "tools": tools})

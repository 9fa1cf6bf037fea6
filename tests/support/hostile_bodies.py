"""Bodies that mean no good, made from the fields themselves: their bounds, and what is beyond."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from scalesim.deployments.calls import Endpoint
from scalesim.deployments.requests import REQUESTS
from scalesim.deployments.requests.refusal import REFUSED

BODY: dict[Endpoint, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "w1 w2"}], "max_tokens": 2},
    "completions": {"prompt": "w1 w2", "max_tokens": 2},
    "responses": {"input": "w1 w2", "max_output_tokens": 2},
    "messages": {
        "model": "scalesim",
        "messages": [{"role": "user", "content": "w1 w2"}],
        "max_tokens": 2,
    },
    "tokenize": {"prompt": "w1 w2"},
}

_EXTREMES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 20, 1020, 1024, 151_645, 2**31 - 1, 2**31, 2**63, -(2**63)),
    *(0.0, -0.0, 1e-300, 1e300, -1e300, 0.01, 1.5, float("nan"), float("inf")),
    *("", " ", "w1", "</s>", "\x00", "\n", "(\\w+\\s?)+#", "x" * 10_000, "‍👩", "0", "f"),
    *([], [[]], {}, {"": None}, [None], ["", "w1"], [0], [2**31], [[5], []], b"x"),
)

_anything = st.recursive(
    st.sampled_from(_EXTREMES) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def _legal(part: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values within the bounds of a field, mostly at them."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    if branches := part.get("anyOf") or part.get("oneOf"):
        return st.one_of(*(_legal(one, schema) for one in branches))
    if "enum" in part or "const" in part:
        return st.sampled_from(part.get("enum", [part.get("const")]))
    least, most = part.get("minimum", part.get("exclusiveMinimum")), part.get("maximum")
    kind = part.get("type")
    if kind == "integer":
        return st.sampled_from([least, least + 1, most]) | st.integers(least, most)
    if kind == "number":
        return st.sampled_from([least + 1e-9, most]) | st.floats(least + 1e-9, most)
    if kind == "boolean":
        return st.booleans()
    if kind == "string":
        return st.text(max_size=min(8, part.get("maxLength", 8)))
    if kind == "array":
        return st.lists(_legal(part["items"], schema), max_size=min(3, part.get("maxItems", 3)))
    if "properties" in part:
        fields = {name: _legal(one, schema) for name, one in part["properties"].items()}
        needed = {name: fields.pop(name) for name in part.get("required", ())}
        return st.fixed_dictionaries(needed, optional=fields)
    return st.dictionaries(st.sampled_from(["a", "tokenize", "bos_token"]), _anything, max_size=3)


@cache
def bodies(endpoint: Endpoint) -> st.SearchStrategy[dict[str, Any]]:
    """Return bodies of which up to three fields are out of the ordinary."""
    schema = REQUESTS[endpoint].model_json_schema()
    fields = {
        name: _legal(described, schema) | _anything
        for name, described in schema["properties"].items()
    }
    known = st.sampled_from(sorted(fields)).flatmap(
        lambda name: st.tuples(st.just(name), fields[name])
    )
    other = st.tuples(st.sampled_from(sorted(REFUSED)) | st.text(max_size=8), _anything)
    changes = st.lists(known | known | known | other, min_size=1, max_size=3)
    return changes.map(lambda fields: {**BODY[endpoint], **dict(fields)})

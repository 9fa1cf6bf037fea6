"""The `kv_hints` envelope of a request: ours is read, others' is left alone."""

from typing import Any

import pytest

from scalesim.deployments.request_identity import resolve
from scalesim.deployments.requests import accepted, kv_hints
from scalesim.errors import InvalidRequestError

USER = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": USER},
    "completions": {"prompt": "hi"},
    "responses": {"input": "hi"},
    "messages": {"model": "scalesim", "messages": USER, "max_tokens": 4},
}


HEADERS = {"simulation": "X-Simulation-Id", "adapter": "X-Agent-Adapter"}


def action(kind: str, version: str = "1", **payload: Any) -> dict[str, Any]:
    said = {"action_id": "0", "action_type": kind, "action_version": version}
    return {**said, "payload": payload}


def envelope(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"protocol_version": "1", "message_id": "m", "actions": list(actions)}


@pytest.mark.parametrize("endpoint", BODIES)
def test_no_engine_sees_it(endpoint: Any) -> None:
    hints = envelope(action("scalesim.agent", agent="ann"), action("storage.prefetch", block=7))
    body = {**BODIES[endpoint], "kv_hints": hints}
    assert accepted(endpoint, body) == accepted(endpoint, BODIES[endpoint])


def test_it_names_the_agent_after_headers_and_before_other_fields() -> None:
    hints = envelope(
        action("scalesim.agent", agent=7, simulation="town", next_use=2, adapter="a", step=5)
    )
    body = {"kv_hints": hints, "user": "other"}
    assert resolve({}, body) == ("town", "7", 2, "a", 5)
    headers = {"X-Agent-Id": "eve", "X-Simulation-Id": "inn", "X-Agent-Next-Use": "0"}
    headers |= {"X-Agent-Adapter": "b", "X-Agent-Step": "6"}
    assert resolve(headers, body) == ("inn", "eve", 0, "b", 6)
    nobody = envelope(action("scalesim.agent", next_use=3))
    assert resolve({}, {"kv_hints": nobody, "user": "other"}) == ("default", "other", 3, "", None)


def test_the_last_action_counts_and_none_is_none() -> None:
    two = envelope(*(action("scalesim.hints", epoch=epoch) for epoch in (1, 2)))
    last = ({"epoch": 2}, "kv_hints.actions.1.payload")
    assert kv_hints.payload({"kv_hints": two}, kv_hints.HINTS_ACTION) == last
    nothing = ({}, "")
    assert kv_hints.payload({"kv_hints": two}, kv_hints.AGENT_ACTION) == nothing
    assert kv_hints.payload({"kv_hints": None}, kv_hints.HINTS_ACTION) == nothing
    assert kv_hints.payload({}, kv_hints.HINTS_ACTION) == nothing


@pytest.mark.parametrize(
    ("hints", "field"),
    [
        ([], "kv_hints"),
        ({"message_id": "m"}, "kv_hints.protocol_version"),
        (envelope(action("scalesim.agent", "2")), "kv_hints.actions.0.action_version"),
        (
            envelope(action("x"), action("scalesim.agent", next_use=-1)),
            "actions.1.payload.next_use",
        ),
        (envelope(action("scalesim.agent", agent="")), "actions.0.payload.agent"),
        (envelope(action("scalesim.agent", colour=1)), "actions.0.payload.colour"),
        (envelope({**action("scalesim.hints"), "payload": []}), "actions.0.payload"),
        (envelope(*[action("x")] * 17), "kv_hints.actions"),
    ],
)
def test_a_bad_one_is_refused_by_field(hints: Any, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        accepted("chat", {**BODIES["chat"], "kv_hints": hints})
    assert (caught.value.field or "").endswith(field)


@pytest.mark.parametrize(
    ("named", "field"),
    [({"simulation": "no name"}, "simulation"), ({"adapter": "../x"}, "adapter")],
)
def test_a_bad_name_is_refused(named: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        resolve({}, {"kv_hints": envelope(action("scalesim.agent", agent="ann", **named))})
    assert caught.value.field == f"kv_hints.actions.0.payload.{field}"
    with pytest.raises(InvalidRequestError) as caught:
        resolve({HEADERS[field]: named[field]}, {})
    assert caught.value.field == HEADERS[field]

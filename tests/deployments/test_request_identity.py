import msgspec
import pytest

from scalesim import headers
from scalesim.deployments.request_identity import resolve
from scalesim.errors import InvalidRequestError
from tests.scalesim.test_identity import NAMES

HELLO = {
    "messages": [{"role": "system", "content": "You are Bob"}, {"role": "user", "content": "hi"}]
}


def test_headers_come_first() -> None:
    given = {"X-Agent-Id": "J%C3%BCrgen", "X-Simulation-Id": "town", "X-Agent-Next-Use": "2.5"}
    given["X-Agent-Step"] = "7"
    assert resolve(given, {"user": "other"}) == ("town", "Jürgen", 2.5, "", 7)


@pytest.mark.parametrize("agent", NAMES.values(), ids=NAMES)
def test_names_arrive_as_they_are_spelled(agent: str) -> None:
    assert resolve(headers.identity("town", agent), {}).agent == agent


@pytest.mark.parametrize("field", ["session_id", "prompt_cache_key", "user"])
def test_body_fields_name_the_caller(field: str) -> None:
    assert resolve({}, {field: "villager-7", **HELLO}) == ("default", "villager-7", None, "", None)


def test_body_fields_are_believed_in_their_order() -> None:
    body = {"user": "third", "prompt_cache_key": "second", "session_id": "first"}
    for agent in ("first", "second", "third"):
        assert resolve({}, body).agent == agent
        body.popitem()
    assert resolve({}, body).agent.startswith("anonymous-")


@pytest.mark.parametrize("nobody", ["", "x" * 257, "a\nb", "\ud800", None])
def test_a_body_field_that_names_nobody_is_passed_over(nobody: str | None) -> None:
    body = {"prompt_cache_key": nobody, "user": "villager-7", **HELLO}
    assert resolve({}, body).agent == "villager-7"
    assert resolve({}, {"user": nobody, **HELLO}).agent.startswith("anonymous-")


def test_an_opening_that_json_cannot_say_names_somebody() -> None:
    messages = [{"role": "user", "content": msgspec.msgpack.Ext(1, b"x")}]
    assert resolve({}, {"messages": messages}).agent.startswith("anonymous-")


def test_the_opening_names_who_is_not_named() -> None:
    later = {"messages": [*HELLO["messages"], {"role": "user", "content": "and then?"}]}
    other = {"messages": [{"role": "system", "content": "You are Eve"}]}
    assert resolve({}, HELLO).agent == resolve({}, later).agent
    assert resolve({}, HELLO).agent != resolve({}, other).agent
    assert resolve({}, {"prompt": "x"}).agent != resolve({}, {"prompt": "y"}).agent


@pytest.mark.parametrize(
    ("given", "body", "field"),
    [
        ({"X-Agent-Id": ""}, {}, "X-Agent-Id"),
        ({"X-Agent-Id": "a" * 257}, {}, "X-Agent-Id"),
        ({"X-Agent-Id": "a%00b"}, {}, "X-Agent-Id"),
        ({"X-Agent-Id": "%ff"}, {}, "X-Agent-Id"),
        ({"X-Agent-Id": "%fe"}, {}, "X-Agent-Id"),
        ({"X-Agent-Id": "%ed%a0%80"}, {}, "X-Agent-Id"),
        ({"X-Simulation-Id": "../etc"}, {}, "X-Simulation-Id"),
        ({"X-Simulation-Id": "a" * 64}, {}, "X-Simulation-Id"),
        ({"X-Agent-Next-Use": "soon"}, {}, "X-Agent-Next-Use"),
        ({"X-Agent-Next-Use": "nan"}, {}, "X-Agent-Next-Use"),
        ({"X-Agent-Next-Use": "-1"}, {}, "X-Agent-Next-Use"),
        ({"X-Agent-Step": "soon"}, {}, "X-Agent-Step"),
        ({"X-Agent-Step": "-1"}, {}, "X-Agent-Step"),
        ({"X-Agent-Step": "1.5"}, {}, "X-Agent-Step"),
        ({"X-Agent-Step": "9" * 16}, {}, "X-Agent-Step"),
        ({"X-Agent-Step": "٣"}, {}, "X-Agent-Step"),
    ],
)
def test_what_names_nobody_is_refused_by_name(given: dict, body: dict, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        resolve(given, body)
    assert caught.value.field == field

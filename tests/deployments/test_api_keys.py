"""Keys: whose they are, for which simulations, how much at a time."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from scalesim.deployments.api_keys import ApiKeys, KeyHolder, check_keys
from scalesim.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    QuotaExceededError,
)
from scalesim.settings import ApiKeySettings, IngressSettings


def asking(**headers: str) -> Request:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "path": "/v1/models", "headers": given, "method": "POST"})


def keys(own: str = "operator's", **each: Any) -> ApiKeys:
    return ApiKeys(IngressSettings.model_validate({"api_key": own, "api_keys": each}))


TOWN = {"key": "town's", "simulations": ["town", "town-*"], "max_requests": 2}


@pytest.mark.parametrize("given", ["", "k", "Bearer wrong", "Basic town's", "Bearer k\u00e9"])
def test_wrong_keys_are_refused(given: str) -> None:
    with pytest.raises(AuthenticationError):
        keys(town=TOWN).holder(asking(authorization=given))
    with pytest.raises(AuthenticationError):
        keys(own="", town=TOWN).holder(asking(authorization=given))


def test_right_keys_say_who_it_is() -> None:
    known = keys(town=TOWN)
    assert known.holder(asking(authorization="Bearer operator's")).is_operator
    for given in ({"authorization": "bearer town's"}, {"x_api_key": "town's"}):
        holder = known.holder(asking(**given))
        assert (holder.name, holder.is_operator) == ("town", False)
    assert keys(own="").holder(asking()).is_operator


def test_a_key_is_for_its_own_simulations() -> None:
    holder = KeyHolder("town", ApiKeySettings.model_validate(TOWN))
    assert holder.require("town-7") == "town-7"
    assert holder.default_simulation == "town"
    for other in ("default", "city", "Town", "my-town"):
        with pytest.raises(PermissionDeniedError, match=other):
            holder.require(other)
    with pytest.raises(PermissionDeniedError, match=r"ingress\.api_key"):
        holder.require_operator()


def test_the_operator_is_for_all() -> None:
    holder = KeyHolder("ingress")
    holder.require_operator()
    assert holder.require("any") == "any"
    assert holder.default_simulation == "default"


def test_requests_in_flight_are_bounded() -> None:
    holder = KeyHolder("town", ApiKeySettings.model_validate(TOWN))
    with holder.one_request():
        with holder.one_request(), pytest.raises(QuotaExceededError), holder.one_request():
            raise AssertionError
        with holder.one_request():
            pass
    with pytest.raises(ZeroDivisionError), holder.one_request():
        raise ZeroDivisionError
    with holder.one_request(), holder.one_request():
        pass


def test_traces_are_bounded_apart_from_requests() -> None:
    holder = KeyHolder("town", ApiKeySettings.model_validate(TOWN))
    with holder.one_request("traces"), holder.one_request("traces"), holder.one_request():
        with pytest.raises(QuotaExceededError, match="2 traces"), holder.one_request("traces"):
            raise AssertionError
        with holder.one_request():
            pass


@pytest.mark.parametrize(
    ("own", "town", "message"),
    [("k", "k", r"the key of ingress\.api_key"), ("", "", "SCALESIM_API_KEYS")],
)
def test_keys_that_cannot_be_distinguished(own: str, town: str, message: str) -> None:
    settings = ApiKeySettings.model_validate(TOWN | {"key": town})
    with pytest.raises(ConfigurationError, match=message):
        check_keys({"town": settings}, own)


def test_no_key_has_the_name_of_the_operator() -> None:
    with pytest.raises(ConfigurationError, match="would share its quota"):
        check_keys({"ingress": ApiKeySettings.model_validate(TOWN)}, "own")


def test_a_key_sees_its_own_simulations_alone() -> None:
    rows = {"town": {"agents": 1}, "city": {"agents": 2}}
    status = {"incarnation": 1, "simulations": rows, "learned": rows}
    mine = {"town": {"agents": 1}}
    seen = KeyHolder("town", ApiKeySettings.model_validate(TOWN)).what_it_may_see(status)
    assert seen == {"incarnation": 1, "simulations": mine, "learned": mine}
    assert KeyHolder("ingress").what_it_may_see(status) == status

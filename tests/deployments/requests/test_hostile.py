"""Whatever is sent is either accepted or refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.deployments.calls import Endpoint
from scalesim.deployments.request_identity import resolve
from scalesim.deployments.requests import REQUESTS, accepted
from scalesim.errors import InvalidRequestError
from tests.support.hostile_bodies import bodies


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", REQUESTS)
@given(data=st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_body_is_accepted_or_refused_by_name(endpoint: Endpoint, data: Any) -> None:
    body = data.draw(bodies(endpoint))
    fault = None
    try:
        taken = accepted(endpoint, body)
    except InvalidRequestError as error:
        fault = error
    if fault is None:
        assert msgspec.json.decode(msgspec.json.encode(taken)) == taken
        assert resolve({}, body).agent
    else:
        assert (fault.status, bool(fault.field)) == (400, True)
        assert len(str(fault)) < 2000

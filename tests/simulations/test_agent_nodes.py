"""Agents are on all nodes where they reach the stack, and it asks them for a key there."""

from __future__ import annotations

import pytest

from scalesim.deployments.middleware import check_binding
from scalesim.settings import EngineSettings, StackSettings
from scalesim.simulations.agent_nodes import ingress_for, is_loopback, placement
from scalesim.simulations.chat_caller import Caller
from scalesim.simulations.load_generator import Target

HERE, THERE = "10.0.0.5", "10.0.0.6"


@pytest.mark.parametrize("addresses", [set(), {HERE}])
def test_on_one_machine_it_stays_on_loopback(addresses: set[str]) -> None:
    ingress = ingress_for(addresses, HERE)
    assert is_loopback(f"http://{ingress.host}:1")
    assert not ingress.api_key.get_secret_value()


def test_on_several_it_listens_with_a_key_of_its_own() -> None:
    first, second = (ingress_for({HERE, THERE}, HERE) for _ in range(2))
    assert first.host == HERE
    assert first.api_key != second.api_key
    check_binding(StackSettings(engine=EngineSettings(model_path="m"), ingress=first))
    assert placement(f"http://{first.host}:8080") == "SPREAD"
    target = Target(f"http://{first.host}:8080", "m", None, api_key=first.api_key)
    caller = target.caller(4)
    assert isinstance(caller, Caller)
    key = first.api_key.get_secret_value()
    assert caller._client.headers["Authorization"] == f"Bearer {key}"
    assert key not in repr(target)

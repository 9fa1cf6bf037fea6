"""`scalesim agent` against a stack that answers with a real controller's document."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from scalesim.cli.agent import app
from scalesim.errors import InvalidRequestError
from scalesim.identity import agent_key
from scalesim.vocabulary import Tier
from tests.support.controller_world import FakeReplica, make_controller
from tests.support.fake_stack import FakeStack


@pytest.fixture
def stack() -> Iterator[FakeStack]:
    controller = make_controller()
    key = agent_key("town", "Maria/2")
    FakeReplica(controller, "r0").hold(Tier.HOST, key)
    controller.report("town", 4, np.array([key]), np.array([3], np.float32))
    with FakeStack() as fake:
        fake.status = controller.agent("town", "Maria/2")
        yield fake


def invoke(stack: FakeStack, *more: str) -> Any:
    command = ["Maria/2", "--simulation", "town", "--base-url", stack.base_url, *more]
    return CliRunner().invoke(app, command)


def test_json_is_the_document_itself(stack: FakeStack) -> None:
    assert json.loads(invoke(stack, "--json").output) == stack.status
    assert stack.asked == ["/v1/simulations/town/agents/Maria%2F2"]


def test_people_read_where_it_is_and_when_it_is_due(stack: FakeStack) -> None:
    shown = invoke(stack).output
    assert "Maria/2 of town" in shown
    assert "host (warm)" in shown
    assert "distance 3, in steps" in shown
    assert "in step 4" in shown


def test_an_agent_nobody_knows_is_an_error_of_ours(stack: FakeStack) -> None:
    stack.errors.append((400, "agent 'Maria/2' of simulation 'town' is unknown"))
    assert isinstance(invoke(stack).exception, InvalidRequestError)

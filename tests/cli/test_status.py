"""`scalesim status` against a fake stack."""

import json

from typer.testing import CliRunner

from cli.status import app
from tests.fake_stack import FakeStack

STATUS = {
    "incarnation": 3,
    "agents": {"total": 48, "device": 12},
    "replicas": {"r0": {"agents": 48, "device_bytes": 2**21, "budgets": {"host_bytes": 1}}},
    "simulations": {},
}


def invoke(stack: FakeStack, *more: str) -> str:
    stack.status = STATUS
    result = CliRunner().invoke(app, ["--base-url", stack.base_url, *more])
    assert result.exit_code == 0
    return result.output


def test_json_is_the_document_itself() -> None:
    with FakeStack() as stack:
        assert json.loads(invoke(stack, "--json")) == STATUS


def test_people_see_agents_and_memory() -> None:
    with FakeStack() as stack:
        shown = invoke(stack)
    assert "48 total  12 device" in shown
    assert "2.0 MiB" in shown

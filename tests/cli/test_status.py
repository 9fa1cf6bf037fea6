"""`scalesim status` against a stack that answers with a real controller's document."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from scalesim.cli.status import app
from scalesim.errors import AuthenticationError, ControllerUnavailableError
from scalesim.vocabulary import Tier, TransferStats
from tests.support.controller_world import FakeReplica, make_controller, report
from tests.support.fake_stack import FakeStack


def document(**changed: Any) -> dict[str, Any]:
    controller = make_controller()
    replica = FakeReplica(controller, "r0", device=3)
    replica.hold(Tier.DEVICE, 1, 2)
    replica.hold(Tier.HOST, 3)
    report(controller, 5, {1: 0.0, 4: 2.0})
    controller.transfer("r0", controller.incarnation, TransferStats("prefix", issued=9, used=7))
    return {
        **controller.status(),
        "uptime_s": 61.0,
        "catalog": {"ok": True, "error": "", "is_owner": True, "lag_s": 0.1},
        "loops": {"plan": {"crashes": 0, "stalled_s": 0.0}},
        "metrics": "",
        **changed,
    }


def invoke(status: dict[str, Any], *more: str) -> str:
    with FakeStack() as stack:
        stack.status = status
        result = CliRunner().invoke(app, ["--base-url", stack.base_url, *more])
    assert result.exit_code == 0, result.exception
    return result.output


def test_json_is_the_document_itself() -> None:
    status = document()
    assert json.loads(invoke(status, "--json")) == status


def test_people_see_agents_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    shown = invoke(document())
    assert "2 hot (device), 1 warm (host), 0 cold (storage), 1 without state" in shown
    assert "2 with a distance" in shown
    assert "7/9" in shown
    assert "town" in shown
    assert "ok, 0.1 s behind" in shown
    assert not {"crashes", "stalled", "metrics"} & set(shown.split())


def test_what_is_wrong_is_said() -> None:
    catalog = {"ok": False, "error": "the catalog did not answer [x]", "is_owner": True}
    catalog["lag_s"] = 7.0
    loops = {"catalog": {"crashes": 2, "stalled_s": 61.0}}
    shown = invoke(document(catalog=catalog, loops=loops, hits={"stack": 0.9, "lru": 0.1}))
    assert "the catalog did not answer [x]" in shown
    assert "2 in catalog" in shown
    assert "catalog for 61 s" in shown
    assert "90% stack, 10% lru" in shown


def test_a_storage_tier_that_is_off_is_said() -> None:
    broken = document()
    broken["replicas"]["r0"]["transfers"]["prefix"]["fault"] = "/data/kv: Read-only file system"
    assert "off at r0: /data/kv: Read-only file system" in invoke(broken)


def test_places_to_scrape_are_named() -> None:
    shown = invoke(document(metrics="127.0.0.1:8081"))
    assert "127.0.0.1:8081, and the API's" in shown


def test_a_stack_that_is_gone_or_closed_is_an_error_of_ours() -> None:
    gone = CliRunner().invoke(app, ["--base-url", "http://127.0.0.1:9"])
    assert isinstance(gone.exception, ControllerUnavailableError)
    with FakeStack() as stack:
        stack.errors.append((401, "the API key is missing or wrong"))
        refused = CliRunner().invoke(app, ["--base-url", stack.base_url])
    assert isinstance(refused.exception, AuthenticationError)

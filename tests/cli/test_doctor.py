"""`scalesim doctor`: each look says what it found and what to do."""

import json
import socket

import pytest
from typer.testing import CliRunner

from cli import doctor


def test_this_machine_is_fit_and_every_check_advises() -> None:
    result = CliRunner().invoke(doctor.app, ["--json"])
    document = json.loads(result.output)
    assert document["ok"] == (result.exit_code == 0)
    names = {check["name"] for check in document["checks"]}
    assert {"python", "ray", "sglang", "free memory", "port 8080"} <= names
    assert all(check["found"] for check in document["checks"])


def test_a_wrong_version_fails_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.NEEDED, "ray", "0.1")
    result = CliRunner().invoke(doctor.app)
    assert result.exit_code == 1
    assert "pip install 'ray==0.1'" in result.output


def test_a_package_that_is_absent_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", {"no-such-package": "1.0"})
    absent, _ = doctor.package_checks()
    assert (absent.ok, absent.found) == (False, "not installed")


def test_a_taken_port_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(doctor, "DEFAULT_PORT", server.getsockname()[1])
        (check,) = doctor.network_checks()
    assert not check.ok

"""`scalesim doctor`: each look says what it found and what to do."""

import json
import os
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from benchmarks.free_port import free_port
from scalesim.cli import doctor, machine, ports, services
from scalesim.cli.finding import Check
from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.pins import pinned
from scalesim.settings import CatalogSettings, IngressSettings, StackSettings
from tests.support.fake_stack import FakeStack


@pytest.fixture
def no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the look that imports SGLang."""
    monkeypatch.setattr(services, "hook_checks", lambda: [Check("hooks", True, "not looked at")])


@pytest.fixture
def quick_looks(no_hooks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the one that imports torch, too."""
    monkeypatch.setattr(machine, "accelerator_checks", lambda: [])


@pytest.mark.usefixtures("no_hooks")
@pytest.mark.slow
def test_this_machine_is_looked_at_and_every_check_advises() -> None:
    result = CliRunner().invoke(doctor.app, ["--json"])
    document = json.loads(result.output)
    assert document["ok"] == (result.exit_code == 0)
    checks = {check["name"]: check for check in document["checks"]}
    expected = {"python", "ray", "sglang", "accelerator", "free memory", "clock", "port 8080"}
    assert expected | {"redis", "hooks"} <= set(checks)
    assert all(check["found"] for check in checks.values())
    assert checks["redis"]["found"].startswith("embedded server: Valkey 8")


@pytest.mark.usefixtures("quick_looks")
def test_a_wrong_version_fails_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.NEEDED, "ray", "0.1")
    result = CliRunner().invoke(doctor.app)
    assert result.exit_code == 1
    assert f"fix ray: {pinned('ray')}" in result.output
    assert "pip install 'ray==0.1'" in result.output


@pytest.mark.engine
def test_the_hooks_fit_the_engine_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUTF8", "0")  # SGLang reads files of its own in UTF-8
    monkeypatch.setenv("LC_ALL", "C")
    (check,) = services.hook_checks()
    assert check.ok, check.found


def test_hooks_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "raise ImportError(\"cannot import name 'IdleSleeper'\")"
    monkeypatch.setattr(services, "LOOK_AT_HOOKS", code)
    (check,) = services.hook_checks()
    assert not check.ok
    assert "IdleSleeper" in check.found


def test_an_engine_that_is_not_imported_in_time_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services, "HOOKS_S", 0.0)
    (check,) = services.hook_checks()
    assert (check.ok, "not imported within" in check.found) == (False, True)


def test_a_package_that_is_absent_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "NEEDED", {"no-such-package": "1.0"})
    (absent,) = machine.package_checks()
    assert (absent.ok, absent.found) == (False, "not installed")


def test_a_port_is_free_taken_or_our_own() -> None:
    port = free_port()
    (free,) = ports.port_checks(IngressSettings(port=port))
    assert (free.ok, free.found) == (True, "free")
    with FakeStack() as stack:
        settings = IngressSettings(port=int(stack.base_url.rpartition(":")[2]))
        (ours,) = ports.port_checks(settings)
        stack.is_ours = False
        (other,) = ports.port_checks(settings)
    assert (ours.ok, other.ok) == (True, False)


def test_ports_of_metrics_are_enough_or_not() -> None:
    def look(replicas: int = 1, **given: int) -> list[tuple[bool, str]]:
        settings = StackSettings.model_validate(
            {"engine": {"model_path": "m"}, "replicas": replicas, "metrics": given}
        )
        return [(check.ok, check.found) for check in ports.metrics_checks(settings)]

    assert look() == []
    with FakeStack() as stack:
        port = int(stack.base_url.rpartition(":")[2])
        ((ok, found),) = look(controller_port=port)
        assert (ok, found) == (True, f"{port}, free or a stack of ScaleSim answers")
        assert [ok for ok, _ in look(replica_port=port)] == [True]
        stack.is_ours = False
        ((ok, found),) = look(controller_port=port)
        assert (ok, found) == (False, f"{port}, something else has {port}")
        ((ok, found),) = look(replicas=16, replica_port=port)
        assert (ok, str(port + 15) in found) == (False, True)


@pytest.mark.usefixtures("quick_looks")
def test_the_redis_of_the_settings_is_asked(tmp_path: Path) -> None:
    config = tmp_path / "stack.yaml"
    with EmbeddedServer() as server:
        config.write_text(f"catalog: {{url: '{server.url}'}}\n")
        result = CliRunner().invoke(doctor.app, ["--config", str(config), "--json"])
    checks = {check["name"]: check for check in json.loads(result.output)["checks"]}
    assert checks["redis"]["ok"]
    assert checks["clock of redis"]["ok"]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_redis_that_is_gone_fails_with_the_way_out(url: str) -> None:
    settings = CatalogSettings.model_validate({"url": url})
    (check,) = services.redis_checks(settings)
    assert not check.ok
    assert "catalog.url" in check.advice


def test_a_redis_that_only_answers_is_not_ok() -> None:
    with EmbeddedServer() as server, redis.Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", 1)
        settings = CatalogSettings.model_validate({"url": server.url})
        (check,) = services.redis_checks(settings)
    assert not check.ok
    assert "read-only replica" in check.found


def test_a_clock_from_before_the_installation_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (now,) = machine.clock_checks()
    assert now.ok
    later = tmp_path / "installed.py"
    later.touch()
    os.utime(later, (2**32, 2**32))
    monkeypatch.setattr(machine, "__file__", str(later))
    (behind,) = machine.clock_checks()
    assert not behind.ok
    assert "2106" in behind.advice

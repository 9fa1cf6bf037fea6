"""Real servers with real faults: one sentence each, and all is written once the fault is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from scalesim.controller import actor
from scalesim.controller.actor import remembering
from scalesim.controller.catalog.access_check import rehearse
from scalesim.controller.catalog.diagnosis import unavailable
from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.store import Catalog
from scalesim.controller.catalog_flusher import CatalogFlusher
from scalesim.errors import CatalogUnavailableError, ConfigurationError
from scalesim.settings import CatalogSettings, ControllerSettings
from tests.support.controller_world import keys, make_controller, report
from tests.support.valkey_process import valkey

RIGHTS = [
    f"+{command}"
    for command in "watch unwatch multi exec get set del hset hdel hscan eval".split()  # noqa: SIM905
]


def settings(server: EmbeddedServer, user: str = "") -> CatalogSettings:
    url = server.url.replace("unix://", f"unix://{user}")
    return CatalogSettings(url=SecretStr(url), timeout_s=2, retries=0)


FaultStep = Callable[[redis.Redis], object]

FAULTS: dict[str, tuple[FaultStep, FaultStep, str]] = {
    "full": (
        lambda c: c.config_set("maxmemory", 1),
        lambda c: c.config_set("maxmemory", 0),
        "is full",
    ),
    "replica": (
        lambda c: c.replicaof("127.0.0.1", 1),
        lambda c: c.replicaof("no", "one"),
        "is a read-only replica",
    ),
    "replica that lost its primary": (
        lambda c: (c.config_set("replica-serve-stale-data", "no"), c.replicaof("127.0.0.1", 1)),
        lambda c: c.replicaof("no", "one"),
        "primary",
    ),
    "too few replicas": (
        lambda c: c.config_set("min-replicas-to-write", 1),
        lambda c: c.config_set("min-replicas-to-write", 0),
        "too few replicas",
    ),
    "keys of another pattern": (
        lambda c: c.acl_setuser(
            "default", enabled=True, nopass=True, reset_keys=True, keys=["other:*"]
        ),
        lambda c: c.acl_setuser("default", enabled=True, nopass=True, keys=["*"]),
        r"does not let this user .*'~\{scalesim\}:\*'",
    ),
    "no scripting": (
        lambda c: c.acl_setuser("default", enabled=True, nopass=True, commands=["-eval"]),
        lambda c: c.acl_setuser("default", enabled=True, nopass=True, commands=["+eval"]),
        "does not let this user .*eval",
    ),
    "password changed": (
        lambda c: (c.config_set("requirepass", "new"), c.client_kill_filter(skipme=True)),
        lambda c: c.config_set("requirepass", ""),
        "asks for a password",
    ),
}


@pytest.mark.parametrize(("fault", "cure", "sentence"), FAULTS.values(), ids=FAULTS)
async def test_a_fault_is_one_sentence_and_heals(
    server: EmbeddedServer, fault: FaultStep, cure: FaultStep, sentence: str
) -> None:
    controller = make_controller()
    writer = CatalogFlusher(controller, Catalog(settings(server)))
    report(controller, 1, {1: 1.0})
    assert await writer.flush()
    with redis.Redis.from_url(server.url) as client:
        client.ping()
        fault(client)
        report(controller, 2, {2: 1.0})
        assert not await writer.flush()
        status = writer.status()
        assert not status["ok"]
        assert status["failures"] == 1
        with pytest.raises(CatalogUnavailableError, match=sentence) as caught:
            rehearse(settings(server))
        assert status["error"] == str(caught.value) or "primary" in status["error"]
        assert "\\x" not in status["error"]
        cure(client)
    rehearse(settings(server))
    while controller.status()["dirty_rows"]:
        await writer.flush()
    assert writer.status()["ok"]
    snapshot, _ = (after := Catalog(settings(server))).load()
    after.close()
    assert snapshot is not None
    assert sorted(snapshot.rows["key"].tolist()) == [1, 2]
    await writer.close()


def test_a_cluster_node_without_slots(tmp_path: Path) -> None:
    with (
        valkey(tmp_path, "--cluster-enabled", "yes", "--cluster-port", "0") as url,
        pytest.raises(CatalogUnavailableError, match="serves no slots"),
    ):
        rehearse(CatalogSettings(url=SecretStr(url), retries=0))


def test_a_server_that_is_loading(tmp_path: Path) -> None:
    with valkey(tmp_path, "--save", "") as url, redis.Redis.from_url(url) as client:
        client.mset({f"key-{i}": "x" * 1000 for i in range(2000)})
        client.save()
    (tmp_path / "s").unlink()
    slow = ("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    with (
        valkey(tmp_path, "--save", "", *slow) as url,
        pytest.raises(CatalogUnavailableError, match="still loading"),
    ):
        rehearse(CatalogSettings(url=SecretStr(url), retries=0, timeout_s=5.0))


def test_a_wrong_password_and_a_user_with_just_the_rights(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser(
            "keeper",
            enabled=True,
            passwords=["+secret"],
            keys=["{scalesim}:*"],
            commands=RIGHTS,
        )
        rehearse(settings(server, "keeper:secret@"))
        assert client.keys("*") == []
        with pytest.raises(CatalogUnavailableError, match="refuses the user or password") as caught:
            rehearse(settings(server, "keeper:hidden@"))
        assert "hidden" not in str(caught.value)


def test_a_controller_waits_for_a_catalog_that_was_killed_with_it(server: EmbeddedServer) -> None:
    controller = make_controller()
    controller.lifecycle("town", pin=keys(1))
    store = Catalog(settings(server))
    batch = controller.take_dirty()
    assert batch is not None
    store.write(batch, controller.incarnation)
    os.kill(server.pid, signal.SIGKILL)
    again = remembering(ControllerSettings(), settings(server), store)
    assert again.status()["agents"]["pinned"] == 1
    store.close()


async def test_a_controller_starts_while_its_catalog_stays_away_and_writes_all_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "LOAD_S", 0.1)
    away = CatalogSettings(url=SecretStr(f"unix://{tmp_path}/s"), timeout_s=2, retries=0)
    store = Catalog(away)
    controller = remembering(ControllerSettings(), away, store)
    writer = CatalogFlusher(controller, store)
    report(controller, 1, {1: 1.0})
    assert not await writer.flush()
    assert not writer.status()["ok"]
    with valkey(tmp_path) as url:
        assert url == away.url.get_secret_value()
        while controller.status()["dirty_rows"]:
            await writer.flush()
        assert writer.status()["ok"]
        snapshot, incarnation = store.load()
        await writer.close()
    assert snapshot is not None
    assert (snapshot.rows["key"].tolist(), incarnation) == ([1], controller.incarnation)


def test_a_rehearsal_leaves_a_living_catalog_alone(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("{scalesim}:head", "7:7")
        rehearse(settings(server))
        assert client.keys("*") == [b"{scalesim}:head"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hid#den@host:6379/0",
        "redis://:#hidden@host",
        "redis://:12#hidden@host",
        "redis://user:hid/den@host",
        "redis://user:1/hidden@host",
        "redis://user:hid?den@host",
        "rediss://user:hidden@host:port",
        "redis://user:hidden@host/0?socket_timeout=hidden",
        "unix://user:hid#den@/socket",
        "unix://user:hid/den@/socket",
        "hidden",
        "http://:hidden@host",
    ],
)
def test_no_address_tells_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"catalog\.url") as caught:
        Catalog(CatalogSettings(url=SecretStr(url)))
    shown = f"{caught.value} {caught.value.__cause__}"
    assert "hid" not in shown.replace("hidden_", "")
    assert "den" not in shown


def test_an_address_with_an_end_of_line_is_taken(server: EmbeddedServer) -> None:
    rehearse(CatalogSettings(url=SecretStr(f"{server.url}\n")))


def test_what_was_sent_is_not_said() -> None:
    said = "Command # 1 (EVAL x rows) of pipeline caused error: ERR odd"
    error = redis.ResponseError(said)
    assert str(unavailable(error, "scalesim")).startswith(
        "the catalog's server refused a command: ERR odd."
    )

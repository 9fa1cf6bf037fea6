"""Servers as people run them: TLS with an authority of their own, Sentinel, cluster mode."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
import trustme
from pydantic import SecretStr

from benchmarks.free_port import free_port
from scalesim.controller.catalog.access_check import rehearse
from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.errors import CatalogUnavailableError, ConfigurationError
from scalesim.settings import CatalogSettings
from tests.controller.catalog.test_store import batch
from tests.support.ray_head import until
from tests.support.tls_front import tls_front
from tests.support.valkey_process import valkey


def at(url: str, **changed: object) -> CatalogSettings:
    return CatalogSettings.model_validate({"url": url, "timeout_s": 2, "retries": 0} | changed)


class Tls:
    """Where a server speaks TLS, and files of its authority and of another."""

    def __init__(self, port: int, folder: Path, authority: trustme.CA) -> None:
        self.port = port
        self.authority, self.other, self.words = (folder / n for n in ("ca", "other", "words"))
        authority.cert_pem.write_to_path(str(self.authority))
        trustme.CA().cert_pem.write_to_path(str(self.other))
        self.words.write_text("no certificate")

    def url(self, options: str, host: str = "127.0.0.1", scheme: str = "rediss") -> str:
        return f"{scheme}://{host}:{self.port}/0{options}"


@pytest.fixture
def tls(server: EmbeddedServer, tmp_path: Path) -> Iterator[Tls]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tls_front(server.url.removeprefix("unix://"), context) as port:
        yield Tls(port, tmp_path, authority)


def test_tls_with_an_own_authority(tls: Tls) -> None:
    trusted = tls.url(f"?ssl_ca_certs={tls.authority}")
    rehearse(at(trusted))
    others = {
        tls.url(""): "not trusted .unable to get local issuer",
        tls.url(f"?ssl_ca_certs={tls.other}"): "not trusted .*ssl_ca_certs=FILE",
        tls.url(f"?ssl_ca_certs={tls.authority}", "localhost"): "not trusted .Hostname mismatch",
        tls.url(f"?ssl_ca_certs={tls.words}"): "holds no certificate",
        tls.url("?ssl_ca_certs=/nowhere/ca"): "is not there",
        tls.url("", scheme="redis"): "rediss://",
    }
    for url, sentence in others.items():
        with pytest.raises(CatalogUnavailableError, match=sentence):
            rehearse(at(url))


def test_an_unknown_option_of_an_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"an option of it is not a number or unknown"):
        Catalog(at("rediss://host/0?ssl_cacerts=/ca"))


def test_a_sentinel_is_told_from_what_it_watches(tmp_path: Path) -> None:
    file = tmp_path / "sentinel.conf"
    file.write_text("sentinel monitor town 127.0.0.1 9 1\n")
    with (
        valkey(tmp_path / "s", str(file), "--sentinel", port=free_port()) as url,
        pytest.raises(CatalogUnavailableError, match=r"a Sentinel .* name the primary itself"),
    ):
        rehearse(at(url))


def test_an_address_that_follows_the_primary_is_asked_anew(tmp_path: Path) -> None:
    with (
        valkey(tmp_path / "a") as first,
        valkey(tmp_path / "b") as second,
        redis.Redis.from_url(first) as demoted,
    ):
        follows = tmp_path / "service"  # as a Service of Kubernetes selects the primary
        follows.symlink_to(first.removeprefix("unix://"))
        catalog = Catalog(at(f"unix://{follows}"))
        assert catalog.write(batch(1, rewrite=True), 5) is WriteOutcome.WRITTEN
        demoted.replicaof("127.0.0.1", 9)
        with pytest.raises(CatalogUnavailableError, match="is a read-only replica"):
            catalog.write(batch(2), 5)
        follows.unlink()
        follows.symlink_to(second.removeprefix("unix://"))
        assert catalog.write(batch(2, rewrite=True), 5) is WriteOutcome.WRITTEN
        catalog.close()


def state_of(node: redis.Redis) -> str:
    return str(node.execute_command("CLUSTER INFO")["cluster_state"])


def test_a_cluster_serves_by_the_node_that_has_the_keys(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(4)]
    with ExitStack() as running:
        nodes = [
            running.enter_context(
                valkey(
                    tmp_path / str(number),
                    *("--cluster-enabled", "yes", "--cluster-port", str(ports[2 + number])),
                    port=ports[number],
                )
            )
            for number in range(2)
        ]
        clients = [running.enter_context(redis.Redis.from_url(url)) for url in nodes]
        has = int(clients[0].execute_command("CLUSTER KEYSLOT", "{scalesim}:head"))
        for client, slots in zip(clients, ((0, has), (has + 1, 16383)), strict=True):
            client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", ports[1], ports[3])
        for client in clients:
            until(lambda client=client: state_of(client) == "ok")
        settings = [at(url) for url in nodes]
        rehearse(settings[0])
        with pytest.raises(CatalogUnavailableError, match="keeps these keys on another one"):
            rehearse(settings[1])


def test_a_user_of_an_acl_by_its_name_in_the_address(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("nobody", enabled=True, nopass=True, commands=["+@all"], keys=["x"])
    url = SecretStr(server.url.replace("unix://", "unix://nobody@"))
    with pytest.raises(CatalogUnavailableError, match=r"grant it the keys '~\{scalesim\}:\*'"):
        rehearse(CatalogSettings(url=url))

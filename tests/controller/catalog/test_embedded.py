import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis
from pydantic import SecretStr

from controller.catalog.embedded import EmbeddedServer, serving
from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings


def wait_for_end(pid: int) -> None:
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert not psutil.pid_exists(pid)


def test_it_serves_only_its_own_user_and_leaves_nothing() -> None:
    server = EmbeddedServer()
    server.stop()
    with server:
        socket = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("port")["port"] == "0"
        pid = server.pid
    wait_for_end(pid)
    assert not socket.parent.exists()
    assert (server.pid, server.url) == (0, "")


def test_a_server_that_hangs_is_stopped_too() -> None:
    server = EmbeddedServer()
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    wait_for_end(pid)


def test_data_in_a_folder_of_one_s_own_is_kept(tmp_path: Path) -> None:
    for expected in (None, b"kept"):
        with EmbeddedServer(str(tmp_path)) as server, redis.Redis.from_url(server.url) as client:
            assert client.get("key") == expected
            client.set("key", "kept")


def test_it_ends_with_its_parent_even_when_that_is_killed() -> None:
    program = (
        "import signal\n"
        "from controller.catalog.embedded import EmbeddedServer\n"
        "server = EmbeddedServer()\n"
        "server.start()\n"
        "print(server.pid, server.url, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        parent.kill()
    wait_for_end(int(pid))
    folder = Path(url.decode().removeprefix("unix://")).parent
    guard_is_done = redis.backoff.ConstantBackoff(0.05)
    retry = redis.retry.Retry(guard_is_done, 100, supported_errors=(AssertionError,))

    def check_folder() -> None:
        assert not folder.exists()

    retry.call_with_retry(check_folder, lambda _: None)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in the way")
    with pytest.raises(
        CatalogUnavailableError, match=r"did not start.*append-only.*Set catalog\.url"
    ):
        EmbeddedServer(str(tmp_path)).start()


def test_a_named_server_is_used_as_it_is() -> None:
    settings = CatalogSettings(url=SecretStr("redis://elsewhere"))
    with serving(settings) as used:
        assert used is settings
    with serving(CatalogSettings()) as used:
        assert used.url.get_secret_value().startswith("unix://")

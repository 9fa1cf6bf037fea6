import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis
from pydantic import SecretStr
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from scalesim.controller.catalog.embedded import EmbeddedServer, serving
from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings


def wait_for_end(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):  # it ended between two looks
        psutil.Process(pid).wait(10)
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
        "from scalesim.controller.catalog.embedded import EmbeddedServer\n"
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
    (tmp_path / "a file").write_text("")
    with pytest.raises(CatalogUnavailableError, match=r"cannot be made \(Not a directory\)"):
        EmbeddedServer(str(tmp_path / "a file" / "data")).start()
    assert not list(Path(tempfile.gettempdir()).glob("scalesim-catalog-*/data"))
    with pytest.raises(CatalogUnavailableError, match=r"did not start.*Set catalog\.url"):
        EmbeddedServer("/proc/self").start()


@pytest.mark.parametrize("damage", ["in the way", "garbage in the middle"])
def test_data_that_cannot_be_read_are_put_aside(tmp_path: Path, damage: str) -> None:
    data = tmp_path / "appendonlydir"
    if damage == "in the way":
        data.write_text(damage)
    else:
        with EmbeddedServer(str(tmp_path)) as server, redis.Redis.from_url(server.url) as client:
            client.set("key", "x" * 100)
        file = next(data.glob("*.incr.aof"))
        file.write_bytes(b"*3\r\nnonsense\r\n" + file.read_bytes())
    with EmbeddedServer(str(tmp_path)) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") is None
        client.set("key", "new")
    assert (tmp_path / "appendonlydir.damaged").exists()
    with EmbeddedServer(str(tmp_path)) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") == b"new"


@pytest.mark.parametrize("kept", [True, False])
def test_a_server_that_dies_is_started_again_with_its_data(tmp_path: Path, kept: bool) -> None:
    with (
        EmbeddedServer(str(tmp_path) if kept else None) as server,
        redis.Redis.from_url(
            server.url, retry=Retry(ConstantBackoff(0.05), 200), retry_on_error=[redis.RedisError]
        ) as client,
    ):
        for turn in range(2):
            client.set(f"key-{turn}", turn)
            while kept and client.info("persistence")["aof_buffer_length"]:
                pass  # a disk that is busy syncing holds writes back, for two seconds at most
            pid = server.pid
            os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
            assert client.get(f"key-{turn}") == str(turn).encode()
            assert server.pid not in (0, pid)
        pid = server.pid
    wait_for_end(pid)


def test_a_named_server_is_used_as_it_is() -> None:
    settings = CatalogSettings(url=SecretStr("redis://elsewhere"))
    with serving(settings) as used:
        assert used is settings
    with serving(CatalogSettings()) as used:
        assert used.url.get_secret_value().startswith("unix://")

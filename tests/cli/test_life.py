"""A real stack started and ended as by a shell: nothing shows on the network, nothing stays."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from scalesim.deployments import run_folder
from scalesim.deployments.random_model import build

pytestmark = pytest.mark.engine

_ENDS_S = 120


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for everything temporary, short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("life")
    model = build(folder / "model", size="tiny")
    file = folder / "stack.yaml"
    file.write_text(f"engine: {{model_path: {model}, device: cpu, device_tokens: 1024}}")
    return file


class Up:
    """`scalesim up` as the leader of a process group, behind a proxy that does not answer."""

    def __init__(self, config: Path, place: Path) -> None:
        start = "from scalesim.cli.main import main; main()"
        command = [sys.executable, "-c", start, "up", "--config", str(config), "--port", "0"]
        environment = {**os.environ, "TMPDIR": str(place), "RAY_AUTH_MODE": "disabled"}
        environment |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
        environment.pop("no_proxy", None)
        self.before = self.shared()
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, process_group=0
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[-1]
        (self.folder,) = (place / f"scalesim-{os.getuid()}").iterdir()
        self.pid = self._process.pid

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.pid), *run_folder._inside(self.folder)]

    def answers(self) -> bool:
        body = {"model": "scalesim", "prompt": "w1 w2", "max_tokens": 2}
        answer = httpx.post(f"{self.url}/v1/completions", json=body, timeout=60, trust_env=False)
        return answer.status_code == 200

    def ended(self) -> int:
        """Return the exit code once nothing is left of it."""
        code = self._process.wait(_ENDS_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        left = [process for process in self.remembered if process.is_running()]
        assert not psutil.wait_procs(left, timeout=_ENDS_S)[1]
        return code

    def send(self, number: signal.Signals, *, group: bool) -> None:
        children = psutil.Process(self.pid).children(recursive=True)
        self.remembered = [*children, *self.processes()[1:]]
        if group:
            os.killpg(self.pid, number)
        os.kill(self.pid, number)

    @staticmethod
    def shared() -> set[str]:
        return set(os.listdir("/dev/shm"))


def listened_to(processes: list[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_bound_to_loopback_everything_is_and_a_signal_to_all_leaves_nothing(
    config: Path, place: Path
) -> None:
    up = Up(config, place)
    assert up.answers()
    assert listened_to(up.processes()) == {"127.0.0.1"}
    up.send(signal.SIGTERM, group=True)
    assert up.ended() == 0
    assert list(place.iterdir()) == []
    assert not [name for name in up.shared() - up.before if up.folder.name in name]


def test_a_stack_that_was_killed_leaves_nothing(config: Path, place: Path) -> None:
    up = Up(config, place)
    up.send(signal.SIGKILL, group=False)
    assert up.ended() == -signal.SIGKILL
    assert list(place.iterdir()) == []

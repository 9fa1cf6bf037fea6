"""A real stack started and ended as by a shell: nothing shows on the network, nothing stays."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.reliability.scalesim_up import ScalesimUp
from scalesim.deployments.random_model import build

pytestmark = pytest.mark.engine


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
    with ScalesimUp(config, place) as up:
        assert up.ready().answers()
        assert listened_to(up.processes()) == {"127.0.0.1"}
        up.send(signal.SIGTERM, group=True)
        assert up.ended() == 0
        assert up.left() == []


def test_a_stack_that_was_killed_leaves_nothing(config: Path, place: Path) -> None:
    with ScalesimUp(config, place) as up:
        up.ready().send(signal.SIGKILL, group=False)
        assert up.ended() == -signal.SIGKILL
        assert up.left() == []

"""Rules of a stack's own Ray cluster that need no cluster."""

import os
import resource
import signal
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import ray
from ray._private import services, worker
from ray.serve._private import replica

from scalesim.deployments import cluster
from scalesim.errors import ConfigurationError, UnavailableError

Limits = dict[int, tuple[int, int]]


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """What a start of Ray sets for its processes is this test's."""
    with patch.dict(os.environ):
        yield


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Limits of a process, soft and hard; none at first."""
    none = resource.RLIM_INFINITY
    held: Limits = defaultdict(lambda: (none, none))
    monkeypatch.setattr(resource, "getrlimit", held.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", held.__setitem__)
    return held


class Folder:
    """A run folder that starts nothing."""

    path = Path("/nowhere")
    as_tmpdir = beside = staticmethod(nullcontext)


@pytest.mark.parametrize("fault", [Exception("The node timed\nout"), ValueError("no port")])
def test_whatever_keeps_ray_from_starting_is_one_sentence(
    limits: Limits, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fails(**_: object) -> None:
        raise fault

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(
        ConfigurationError, match=r"Ray did not start: (The node timed out|no port)"
    ):
        cluster.start(Folder())  # type: ignore[arg-type]


def test_soft_limits_are_raised(limits: Limits) -> None:
    limits[resource.RLIMIT_NOFILE] = (256, 4096)
    cluster.raise_limits()
    assert limits[resource.RLIMIT_NOFILE] == (4096, 4096)


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        (resource.RLIMIT_NOFILE, "ulimit -n"),
        (resource.RLIMIT_NPROC, "ulimit -u"),
        (resource.RLIMIT_AS, "ulimit -v"),
    ],
)
def test_hard_limits_that_are_too_low_are_said(limits: Limits, limit: int, named: str) -> None:
    limits[limit] = (256, 256)
    with pytest.raises(ConfigurationError, match=named):
        cluster.raise_limits()


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What Serve's port is bound to on a node of this address."""
    taken: list[str] = []

    def on(node: str) -> str:
        monkeypatch.setattr(replica, "add_port_to_grpc_server", lambda _, at: taken.append(at))
        monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: node)
        for _ in range(2):  # once is enough
            cluster.keep_serve_on_loopback()
        replica.add_port_to_grpc_server(None, "[::]:0")
        return taken[-1]

    return on


def test_serve_listens_where_its_node_does(bound: Callable[[str], str]) -> None:
    assert bound("127.0.0.1") == "127.0.0.1:0"
    assert bound("::1") == "[::1]:0"
    assert bound("10.0.0.7") == "[::]:0"


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1", "head:port"])
def test_where_nothing_listens_no_cluster_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray tries for many minutes"))
    with pytest.raises(UnavailableError, match="ray start --address"):
        cluster.join(address, {})


@pytest.mark.parametrize(
    ("running", "begun", "named", "expected"),
    [
        ({"a:1"}, None, None, "a:1"),
        ({"a:1"}, "gone:1", None, "a:1"),
        ({"a:1", "b:1"}, "b:1", None, "b:1"),
        ({"a:1", "b:1"}, "b:1", "c:1", "c:1"),
        ({"a:1"}, None, "http://head:8265", "a:1"),
    ],
)
def test_auto_is_the_cluster_that_was_begun_last(
    monkeypatch: pytest.MonkeyPatch,
    running: set[str],
    begun: str | None,
    named: str | None,
    expected: str,
) -> None:
    _clusters(monkeypatch, running, begun)
    if named is not None:
        monkeypatch.setenv("RAY_ADDRESS", named)
    assert cluster.head_of("auto") == expected
    assert cluster.head_of("head:1") == "head:1"


def test_auto_is_none_of_several_and_says_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _clusters(monkeypatch, {"a:1", "b:1"}, None)
    with pytest.raises(ConfigurationError, match="a:1, b:1"):
        cluster.head_of("auto")
    _clusters(monkeypatch, set(), "gone:1")
    with pytest.raises(UnavailableError, match="ray start --head"):
        cluster.head_of("auto")


def _clusters(monkeypatch: pytest.MonkeyPatch, running: set[str], begun: str | None) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: set(running))
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: begun)


def test_a_cluster_without_its_head_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was joined: its node in this process knows of no process."""
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        node = SimpleNamespace(gcs_address=address, dead_processes=list)
        monkeypatch.setattr(worker, "_global_node", node)
        assert not cluster.is_broken()
    assert cluster.is_broken()
    monkeypatch.setattr(worker, "_global_node", None)
    assert not cluster.is_broken()


def test_a_node_of_ray_is_waited_for(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [RuntimeError("no node"), RuntimeError("no node"), {"node_id": "1"}]

    def find(*_: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = []
    monkeypatch.setattr(services, "get_node", find)
    monkeypatch.setattr(ray, "init", lambda **_: found.append(services.get_node("address", "1")))
    monkeypatch.setattr(cluster, "LOOK_S", 0.0)
    cluster.start(Folder())  # type: ignore[arg-type]
    assert found == [{"node_id": "1"}]
    assert services.get_node is find
    monkeypatch.setattr(cluster, "NODE_S", 0.0)
    answers[:] = [RuntimeError("no node")] * 2
    with pytest.raises(ConfigurationError, match="Ray did not start: no node"):
        cluster.start(Folder())  # type: ignore[arg-type]


@pytest.mark.parametrize("ours", [lambda *_: None, signal.SIG_IGN])
def test_what_a_program_does_on_a_signal_stays_when_ray_starts(
    limits: Limits, monkeypatch: pytest.MonkeyPatch, ours: Any
) -> None:
    def init(**_: object) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    monkeypatch.setattr(ray, "init", init)
    former = signal.signal(signal.SIGTERM, ours)
    try:
        cluster.start(Folder())  # type: ignore[arg-type]
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, former)

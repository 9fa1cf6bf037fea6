"""A process's own `/metrics`, over real sockets."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from benchmarks.free_port import free_port
from scalesim.controller.runtime.metrics_endpoint import MetricsEndpoint
from scalesim.errors import ConfigurationError
from scalesim.settings import MetricsSettings, load


class Figures(Collector):
    def __init__(self, figure: Callable[[], float] = lambda: 7.0) -> None:
        self._figure = figure

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("scalesim_any", "Any.", value=self._figure())


@contextmanager
def endpoint(
    ports: range, figures: Collector | None = None, key: str = "", host: str = "127.0.0.1"
) -> Iterator[MetricsEndpoint]:
    settings = MetricsSettings(host=host)
    made = MetricsEndpoint(figures or Figures(), settings, ports, key, here="10.0.0.1")
    try:
        yield made
    finally:
        made.close()


def get(at: MetricsEndpoint, authorization: str = "") -> httpx.Response:
    headers = {"Authorization": authorization}
    return httpx.get(f"http://{at.address}/metrics", headers=headers, timeout=30)


def one() -> range:
    port = free_port()
    return range(port, port + 1)


def test_it_tells_its_figures() -> None:
    with endpoint(one()) as at:
        answer = get(at)
        assert answer.headers["content-type"].startswith("text/plain")
        assert "scalesim_any 7.0" in answer.text


def test_only_the_key_opens_it() -> None:
    with endpoint(one(), key="k") as at:
        for wrong in ("", "k", "Bearer", "Bearer wrong", "Basic k"):
            assert get(at, wrong).status_code == 401
        assert get(at, "Bearer k").status_code == 200


def test_neighbours_take_the_next_port_and_give_it_back() -> None:
    ports = range(free_port(), 65536)
    with endpoint(ports) as first:
        with endpoint(ports) as second:
            assert second.address != first.address
            assert get(second).status_code == 200
            freed = second.address
        with endpoint(ports) as third:
            assert third.address == freed
            assert get(third).status_code == 200


def test_without_a_free_port_the_process_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    ports = one()
    with endpoint(ports), caplog.at_level(logging.ERROR), endpoint(ports) as second:
        assert second.address == ""
    assert str(ports[0]) in caplog.text
    assert "metrics.controller_port" in caplog.text


def test_off_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    with endpoint(MetricsSettings().replica_ports) as off:
        assert off.address == ""
    assert not caplog.text


def test_an_event_loop_that_hangs_is_said_to() -> None:
    def hangs() -> float:
        raise TimeoutError

    with endpoint(one(), Figures(hangs)) as at:
        answer = get(at)
    assert (answer.status_code, "event loop" in answer.text) == (503, True)


def test_ipv6_is_written_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with endpoint(one(), host="::1") as at:
        assert at.address.startswith("[::1]:")
        assert get(at).status_code == 200


def test_closing_twice_is_fine() -> None:
    with endpoint(one()) as at:
        at.close()


def test_ports_are_what_the_settings_say() -> None:
    off = MetricsSettings()
    assert (len(off.controller_ports), len(off.replica_ports)) == (0, 0)
    on = MetricsSettings(controller_port=8081, replica_port=8082)
    assert (list(on.controller_ports), on.replica_ports) == ([8081], range(8082, 8098))
    for taken in (8082, 8097):
        with pytest.raises(ConfigurationError, match="controller_port"):
            load(MetricsSettings, {"controller_port": taken, "replica_port": 8082})


def test_idle_connections_take_no_threads_and_leave_room() -> None:
    with endpoint(one()) as at:
        assert get(at).status_code == 200
        before = threading.active_count()
        host, port = at.address.split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(200)]
        refused = get(at)
        assert (refused.status_code, "too many" in refused.text) == (503, True)
        assert threading.active_count() <= before
        for client in idle:
            client.close()
        answers = (get(at) for _ in range(1000))
        assert any(answer.status_code == 200 for answer in answers)


def test_headers_are_bounded() -> None:
    with endpoint(one()) as at:
        answer = httpx.get(f"http://{at.address}/metrics", headers={"X": "a" * 20_000}, timeout=30)
    assert answer.status_code == 431

"""Proxies of the environment: never for this machine, for others unless NO_PROXY says so."""

from collections.abc import Iterator

import pytest

from scalesim.proxies import may_be_proxied
from scalesim.settings import ClientSettings
from scalesim.transports.http import HttpTransport
from tests.support.fake_stack import FakeStack


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStack]:
    """A proxy that answers by itself, set for everything."""
    with FakeStack() as fake:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, fake.base_url)
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield fake


def ask(base_url: str) -> None:
    transport = HttpTransport(ClientSettings(base_url=base_url))
    try:
        transport.status()
    finally:
        transport.close()


def test_a_stack_on_this_machine_is_asked_directly(proxy: FakeStack) -> None:
    with FakeStack() as stack:
        ask(stack.base_url)
        assert stack.asked == ["/v1/status"]
    assert proxy.asked == []


def test_a_stack_elsewhere_is_asked_through_the_proxy(proxy: FakeStack) -> None:
    ask("http://stack.invalid:8080")
    assert proxy.asked == ["http://stack.invalid:8080/v1/status"]


def test_no_proxy_is_honoured(proxy: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "stack.invalid")
    with pytest.raises(Exception, match="no answer from"):
        ask("http://stack.invalid:8080")
    assert proxy.asked == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://127.3.2.1", "http://[::1]:80/v1", "http://localhost:8080"]
)
def test_loopback_is_never_proxied(url: str) -> None:
    assert not may_be_proxied(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1", "https://stack.example", "http://[fe80::1]"])
def test_other_machines_may_be(url: str) -> None:
    assert may_be_proxied(url)

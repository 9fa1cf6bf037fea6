"""The port of a stack is its own."""

import socket
from collections.abc import Iterator

import pytest

from deployments.stack import _held_port
from scalesim.errors import ConfigurationError

HERE = "127.0.0.1"


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """A socket as Serve's proxy makes it."""
    with socket.socket() as proxy:
        proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield proxy


def test_a_free_port_is_held_for_the_proxy_alone(proxy: socket.socket) -> None:
    with _held_port(HERE, 0) as port, socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind((HERE, port))
        proxy.bind((HERE, port))
        proxy.listen()


def test_a_port_that_is_free_is_the_proxys_to_bind(proxy: socket.socket) -> None:
    with _held_port(HERE, 0) as port:
        pass
    with _held_port(HERE, port) as same:
        proxy.bind((HERE, same))


def test_a_port_that_is_taken_is_refused(proxy: socket.socket) -> None:
    proxy.bind((HERE, 0))
    proxy.listen()
    port = proxy.getsockname()[1]
    with pytest.raises(ConfigurationError, match="stop what has it"), _held_port(HERE, port):
        pass

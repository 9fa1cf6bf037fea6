from collections.abc import Iterator

import pytest

from scalesim.controller.catalog.embedded import EmbeddedServer


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A real Valkey server, in memory."""
    with EmbeddedServer() as server:
        yield server

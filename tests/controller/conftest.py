from collections.abc import Iterator

import pytest
import ray

from controller.catalog.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray cluster of our own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A real Valkey server, in memory."""
    with EmbeddedServer() as server:
        yield server

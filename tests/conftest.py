"""What several folders' tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

# Real engines run beside these tests: how long an example takes says nothing.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray cluster of our own, for the whole session."""
    import ray

    from scalesim.deployments.stack import SERVING

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        for name, value in SERVING.items():
            patch.setenv(name, value)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()

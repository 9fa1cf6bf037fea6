"""What several folders' tests share."""

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

# Real engines run beside these tests: how long an example takes says nothing. Examples are the
# same in every run, so that what fails is what was changed; HYPOTHESIS_PROFILE=search looks for
# new ones, HYPOTHESIS_PROFILE=fast plays few.
settings.register_profile("repeated", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.register_profile("fast", deadline=None, derandomize=True, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeated"))

_ALWAYS_ALLOWED = ("beside the checkout", "there is one", "has no IPv6", "open files")
"""Skips for what a machine may lack: recorded traces, IPv6, enough files; tests of no GPU."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="skipping what could be installed is a failure"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    report = yield
    if report.skipped and item.config.getoption("--no-skips") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if not any(allowed in reason for allowed in _ALWAYS_ALLOWED):
            report.outcome, report.longrepr = "failed", f"skipped here: {reason}"
    return report


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

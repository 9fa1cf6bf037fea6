"""What several folders' tests share."""

from __future__ import annotations

import ctypes
import os
import random
import sys
from collections.abc import Generator, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from scalesim.deployments.stack import Stack
    from scalesim.settings import StackSettings
    from tests.support.only_stack import OnlyStack

# Real engines run beside these tests: how long an example takes says nothing. Examples are the
# same in every run, so that what fails is what was changed; HYPOTHESIS_PROFILE=search looks for
# new ones, HYPOTHESIS_PROFILE=fast plays few.
settings.register_profile("repeated", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.register_profile("fast", deadline=None, derandomize=True, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeated"))

_ALWAYS_ALLOWED = ("beside the checkout", "there is one", "has no IPv6", "open files")
"""Skips for what a machine may lack: recorded traces, IPv6, enough files; tests of no GPU."""

_ATTEMPTS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="skipping what could be installed is a failure"
    )
    parser.addoption(
        "--shuffle", metavar="SEED", help="play modules, and the tests of each, in another order"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put those that share the stack last, so that it starts once; or shuffle."""
    seed = config.getoption("--shuffle")
    if seed is None:
        items.sort(key=lambda item: "stack_settings" in getattr(item, "fixturenames", ()))
        return
    drawn = random.Random(seed)
    modules = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    drawn.shuffle(modules)
    for tests in modules:
        drawn.shuffle(tests)
    items[:] = [item for tests in modules for item in tests]


def pytest_unconfigure() -> None:
    """Keep what SWIG's modules share to the end of the process, where SGLang was imported.

    Where it is freed with the other modules, sentencepiece's end makes an object of a type that is
    gone by then: a segmentation fault after all tests have passed.
    """
    for name in [name for name in sys.modules if name.startswith("swig_runtime_data")]:
        for shared in vars(sys.modules[name]).values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(shared))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    report = yield
    if report.skipped and item.config.getoption("--no-skips") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if not any(allowed in reason for allowed in _ALWAYS_ALLOWED):
            report.outcome, report.longrepr = "failed", f"skipped here: {reason}"
    return report


@pytest.fixture(scope="session")
def only_stack() -> Iterator[OnlyStack]:
    """What runs the session's stack, on a Ray cluster of our own."""
    import ray

    from scalesim.deployments.cluster import time_for_a_node
    from scalesim.deployments.stack import SERVING
    from tests.support.only_stack import OnlyStack

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        for name, value in SERVING.items():
            patch.setenv(name, value)
        # Ray gives its own agent 15 s to start, too little for a busy machine: try again.
        for attempt in reversed(range(_ATTEMPTS)):
            try:
                with time_for_a_node():
                    ray.init(
                        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False
                    )
                break
            except Exception:  # of a node that takes too long it raises a plain one
                ray.shutdown()
                if not attempt:
                    raise
        only = OnlyStack()
        yield only
        only.stop()
        ray.shutdown()


@pytest.fixture(scope="module")
def ray_local(only_stack: OnlyStack) -> None:
    """A Ray cluster of our own, for the whole session, without the stack."""
    only_stack.stop()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random Llama that answers in milliseconds on a CPU."""
    from scalesim.deployments.random_model import build

    return str(build(tmp_path_factory.mktemp("models") / "tiny", size="tiny"))


@pytest.fixture(scope="session")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a fine-tune of the tiny model, `tune`."""
    from scalesim.deployments.random_model import build

    root = tmp_path_factory.mktemp("tunes")
    build(root / "tune", seed=1, size="tiny")
    return str(root)


@pytest.fixture(scope="session")
def stack_settings(tiny_model: str, tunes: str) -> StackSettings:
    """Two replicas of a tiny model behind the ingress, with a controller and a catalog."""
    from benchmarks.free_port import free_port
    from scalesim.settings import (
        ApiKeySettings,
        EngineSettings,
        IngressSettings,
        MetricsSettings,
        ModelSettings,
        StackSettings,
    )
    from tests.support.stack_client import KEY, TOWN_KEY

    town = ApiKeySettings(key=TOWN_KEY, simulations=("town",), max_requests=1)
    port = free_port()
    return StackSettings(
        engine=EngineSettings(
            model_path=tiny_model,
            dtype="float32",
            device_tokens=1536,
            context_length=1024,
            models=ModelSettings(roots=(tunes,)),
        ),
        replicas=2,
        ingress=IngressSettings(port=0, api_key=KEY, api_keys={"town": town}, processes=2),
        metrics=MetricsSettings(controller_port=port, replica_port=port + 1),
    )


@pytest.fixture
def stack(only_stack: OnlyStack, stack_settings: StackSettings) -> Stack:
    """The stack that modules share, as long as no test stops it."""
    return only_stack.running(stack_settings)

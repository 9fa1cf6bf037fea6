from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks.reliability.__main__ import KEY, stack_settings
from benchmarks.reliability.fault_runs import FaultTrial
from benchmarks.reliability.load import REQUEST_S
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from tests.support.only_stack import OnlyStack
from tests.support.stack_client import StackClient


@pytest.fixture(scope="package")
def stack(only_stack: OnlyStack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Two engines of a tiny model; nobody else asks them."""
    folder: Path = tmp_path_factory.mktemp("models")
    return only_stack.running(stack_settings(str(build(folder / "tiny", size="tiny"))))


@pytest_asyncio.fixture(loop_scope="session", scope="package")
async def trial(stack: Stack) -> AsyncIterator[FaultTrial]:
    """The stack under faults, once it was asked undisturbed."""
    trial = FaultTrial(stack, KEY)
    await trial.prepare()
    yield trial
    await trial.close()


@pytest_asyncio.fixture(loop_scope="session", scope="package")
async def client(stack: Stack) -> AsyncIterator[StackClient]:
    client = StackClient(stack, KEY, REQUEST_S)
    yield client
    await client.http.aclose()

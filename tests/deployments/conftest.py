"""A client of the stack that modules share, and a stack with little room for hostile ones."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scalesim.deployments.random_adapter import build
from scalesim.deployments.stack import Stack
from scalesim.settings import StackSettings, load
from tests.clients.client_stack import values
from tests.support.only_stack import OnlyStack
from tests.support.stack_client import StackClient


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Path:
    """Adapters of which nobody asked `scalesim adapter add` whether they can be served."""
    root = tmp_path_factory.mktemp("adapters")
    for name, changed in {
        "good": {},
        "text": {"r": "4"},
        "dora": {"use_dora": True},
        "slow": {"target_modules": r"(\w|\.|\w\w)+[^\w.]"},
        "many": {"r": 10**6},
    }.items():
        file = build(root / name, tiny_model, seed=1, rank=4) / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    wide = build(root / "wide", tiny_model, seed=1, rank=8) / "adapter_model.safetensors"
    build(root / "lies", tiny_model, seed=1, rank=4)
    (root / "lies" / wide.name).write_bytes(wide.read_bytes())
    build(root / "cut", tiny_model, seed=1, rank=4)
    (root / "cut" / wide.name).write_bytes(wide.read_bytes()[:-500])
    return root


@pytest.fixture(scope="session")
def crowded(tiny_model: str, adapters: Path) -> StackSettings:
    """One replica with little room, and several keys."""
    served = values(tiny_model)
    served["engine"] |= {
        "device_tokens": 1024,
        "adapters": {"roots": [str(adapters)], "slots": 2, "max_rank": 8},
    }
    return load(StackSettings, served)


@pytest.fixture
def crowded_stack(only_stack: OnlyStack, crowded: StackSettings) -> Stack:
    return only_stack.running(crowded)


@pytest_asyncio.fixture(loop_scope="session")
async def client(stack: Stack) -> AsyncIterator[StackClient]:
    client = StackClient(stack)
    yield client
    await client.http.aclose()

"""Storage tiers that SGLang keeps by its own rules: its file backend, and one from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from scalesim.vocabulary import Tier, Verb
from tests.support.real_engine import PREFIX_TOKENS, RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

FOUND = PREFIX_TOKENS
ROOM = 3 * (PREFIX_TOKENS + 64)

DIARY = """
from pathlib import Path

import numpy as np
import torch
from sglang.srt.mem_cache.hicache_storage import HiCacheStorage


class Diary(HiCacheStorage):
    def __init__(self, config, options=None):
        self.folder = Path(config.extra_config["place"])

    def exists(self, key):
        return (self.folder / key).exists()

    def get(self, key, target_location=None, target_sizes=None):
        if not self.exists(key):
            return None
        raw = torch.from_numpy(np.fromfile(self.folder / key, np.uint8))
        return target_location.copy_(raw.view(target_location.dtype).view_as(target_location))

    def set(self, key, value=None, target_location=None, target_sizes=None):
        value.contiguous().view(torch.uint8).numpy().tofile(self.folder / key)
        return True

    def batch_get(self, keys, target_locations=None, target_sizes=None):
        return [self.get(key, page) for key, page in zip(keys, target_locations)]

    def batch_set(self, keys, values=None, target_locations=None, target_sizes=None):
        return all([self.set(key, page) for key, page in zip(keys, values)])
"""
"""A package of somebody else's."""


def settings(backend: str, folder: Path) -> dict[str, Any]:
    if backend == "file":
        return {"storage_backend": "file", "storage_options": {"file_storage_path": str(folder)}}
    names = {"backend_name": "diary", "module_path": "diary_backend", "class_name": "Diary"}
    return {"storage_backend": "dynamic", "storage_options": names | {"place": str(folder)}}


@pytest.fixture(scope="module", params=["file", "dynamic"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Path:
    return tmp_path_factory.mktemp(backend)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def engine(
    tiny_model: str, tmp_path_factory: pytest.TempPathFactory, backend: str, pages: Path
) -> AsyncIterator[RealEngine]:
    packages = tmp_path_factory.mktemp("packages")
    (packages / "diary_backend.py").write_text(DIARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        engine = RealEngine(tiny_model, ROOM, host_ratio=2.0, **settings(backend, pages))
        await engine.start()
        yield engine
        await engine.stop()


async def test_it_is_read_by_distance_long_before_the_request(engine: RealEngine) -> None:
    expected = await engine.store(1)
    answer = await engine.lift(1)
    assert (answer.tokens, answer.device >= FOUND, answer.host) == (expected, True, 0)


async def test_what_it_lost_unseen_is_known_once_it_was_asked_for(
    engine: RealEngine, pages: Path
) -> None:
    before = set(pages.iterdir())
    expected = await engine.store(2)
    for page in set(pages.iterdir()) - before:
        page.unlink()
    assert engine.state[2].storage >= FOUND
    await engine.push({2: 0.0})
    await engine.move(Verb.PREFETCH, 2, tier=Tier.DEVICE)
    await engine.until(lambda: engine.state[2].storage == 0)
    answer = await engine.ask(2)
    assert (answer.tokens, answer.device + answer.host + answer.storage) == (expected, 0)
    assert engine.transfer.restarted == 0


async def test_a_dropped_agent_is_forgotten_but_its_pages_stay(engine: RealEngine) -> None:
    expected = await engine.store(3)
    await engine.move(Verb.DROP, 3)
    await engine.until(lambda: engine.state[3].total == 0)
    answer = await engine.ask(3)
    assert (answer.tokens, answer.storage >= FOUND) == (expected, True)


async def test_state_survives_a_restart(engine: RealEngine) -> None:
    expected = await engine.store(4)
    await engine.stop()
    await engine.start()
    answer = await engine.ask(4)
    assert (answer.tokens, answer.storage >= FOUND) == (expected, True)
    await engine.until(lambda: engine.state[4].storage >= FOUND)

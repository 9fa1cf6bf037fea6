"""The storage tier once more, under a real SGLang engine that is stopped and started again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks.engine.driven_engine import DEADLINE_S
from scalesim.vocabulary import Tier, Verb
from tests.support.real_engine import PREFIX_TOKENS, RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

FOUND = PREFIX_TOKENS
ROOM = 3 * (PREFIX_TOKENS + 64)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    yield tmp_path_factory.mktemp("storage")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def engine(tiny_model: str, folder: Path) -> AsyncIterator[RealEngine]:
    engine = RealEngine(tiny_model, ROOM, storage_dir=str(folder), host_ratio=2.0)
    await engine.start()
    yield engine
    await engine.stop()


async def test_storage_to_host_to_device_long_before_the_request(engine: RealEngine) -> None:
    expected = await engine.store(1)
    answer = await engine.lift(1)
    assert (answer.tokens, answer.device >= FOUND, answer.host) == (expected, True, 0)


async def test_one_directive_brings_it_from_storage_to_the_device(engine: RealEngine) -> None:
    expected = await engine.store(2)
    issued = engine.transfer.issued_bytes
    await engine.push({2: 0.0})
    await engine.move(Verb.PREFETCH, 2, tier=Tier.DEVICE)
    await engine.until(lambda: engine.state[2].device >= FOUND)
    answer = await engine.ask(2)
    assert (answer.tokens, answer.device >= FOUND) == (expected, True)
    assert engine.transfer.issued_bytes > issued


async def test_a_request_finds_it_in_storage_by_itself(engine: RealEngine) -> None:
    expected = await engine.store(3)
    answer = await engine.ask(3)
    assert (answer.tokens, answer.storage >= FOUND) == (expected, True)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(100_000)])
async def test_damaged_files_are_recomputed(
    engine: RealEngine, folder: Path, damage: bytes
) -> None:
    agent = 10 + len(damage)
    before = set(folder.rglob("*.page"))
    expected = await engine.store(agent)
    for page in set(folder.rglob("*.page")) - before:
        page.write_bytes(damage)
    await engine.push({agent: 0.0})
    await engine.move(Verb.PREFETCH, agent, tier=Tier.DEVICE)
    await engine.until(lambda: engine.state[agent].storage == 0)
    answer = await engine.ask(agent)
    assert (answer.tokens, answer.device + answer.host + answer.storage) == (expected, 0)
    assert engine.transfer.restarted == 0


async def test_dropped_agents_leave_no_files(engine: RealEngine, folder: Path) -> None:
    before = set(folder.rglob("*.page"))
    await engine.store(4)
    await engine.move(Verb.DROP, 4)
    await engine.until(lambda: engine.state[4].total == 0)
    async with asyncio.timeout(DEADLINE_S):  # left are the tails of its requests
        while len(set(folder.rglob("*.page")) - before) > 4:
            await asyncio.sleep(0.01)
    answer = await engine.ask(4)
    assert answer.device + answer.host + answer.storage == 0


async def test_state_survives_a_restart(engine: RealEngine) -> None:
    expected = await engine.store(5)
    await engine.stop()
    await engine.start()
    answer = await engine.ask(5)
    assert (answer.tokens, answer.storage >= FOUND) == (expected, True)


async def test_a_folder_that_fails_turns_the_tier_off_and_nothing_else(
    engine: RealEngine, folder: Path
) -> None:
    expected = await engine.store(6)
    await engine.store(8)
    pages, aside = next(folder.iterdir()), folder / "aside"
    pages.rename(aside)
    pages.symlink_to(pages)  # whatever is done there fails, for root too
    await engine.move(Verb.DROP, 8)  # deletes files there
    await engine.until(lambda: bool(engine.transfer.fault))
    await engine.until(lambda: engine.state[6].storage == 0)
    answer = await engine.ask(6)
    assert (answer.tokens, answer.storage) == (expected, 0)
    pages.unlink()
    aside.rename(pages)
    await engine.until(lambda: not engine.transfer.fault)
    assert (await engine.ask(6)).tokens == expected
    await engine.until(lambda: engine.state[6].storage >= FOUND)
    assert engine.transfer.restarted == 0


async def test_a_folder_that_was_deleted_is_made_again(engine: RealEngine, folder: Path) -> None:
    shutil.rmtree(folder)
    expected = await engine.store(7)
    assert list(folder.rglob("*.page"))
    answer = await engine.ask(7)
    assert (answer.tokens, answer.storage >= FOUND) == (expected, True)
    assert engine.transfer.restarted == 0

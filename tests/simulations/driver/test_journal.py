"""A run that died goes on from the disk, with the text of one that did not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import scalesim
from scalesim.simulations.arm_run import Run, WatchStep
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.driver import journal as journals
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.journal import Journal
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.driver_worlds import HashModel, Posters, Sleepers, Walkers

STEPS = 8


def go(
    world: scalesim.World, folder: Path, watch: WatchStep = lambda *_: None, seed: int = 0
) -> Run:
    run = WorldRun(world, DriveOptions(STEPS, None), "test", folder)

    def pool() -> LocalPool:
        return LocalPool(TurnRunner(world, HashModel(seed), "test", STEPS + 1))

    return asyncio.run(run_world(run, HashModel, pool, None, watch))


class Died(Exception):
    pass


def dies_after(step: int) -> WatchStep:
    def watch(now: int, calls: CallTable) -> None:
        if now >= step:
            raise Died

    return watch


@pytest.mark.parametrize("kind", [Walkers, Sleepers, Posters])
@pytest.mark.parametrize("least_bytes", [0, 2**20])
def test_resumed_twice_the_text_is_the_same(
    tmp_path: Path, kind: type[scalesim.World], least_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "LEAST_BYTES", least_bytes)
    whole = go(kind(14, 3), tmp_path / "whole")
    for step in (2, 5):
        with pytest.raises(Died):
            go(kind(14, 3), tmp_path / "broken", dies_after(step), seed=step)
    run = go(kind(14, 3), tmp_path / "broken", seed=9)
    assert run.resumed_after >= 5
    assert run.calls.by_call() == whole.calls.by_call() != {}
    again = go(kind(14, 3), tmp_path / "broken")
    assert again.resumed_after == STEPS
    assert again.calls.by_call() == whole.calls.by_call()


def test_a_frame_that_is_torn_was_never_there(tmp_path: Path) -> None:
    whole = go(Walkers(14, 3), tmp_path / "whole")
    with pytest.raises(Died):
        go(Walkers(14, 3), tmp_path / "torn", dies_after(4))
    for name in ("turns-000001.msgpack", "calls.msgpack"):
        file = tmp_path / "torn" / name
        file.write_bytes(file.read_bytes()[:-3])
    run = go(Walkers(14, 3), tmp_path / "torn")
    assert run.resumed_after < STEPS
    assert run.calls.tokens_sha256() == whole.calls.tokens_sha256()


def test_zeros_behind_the_last_frame_are_none(tmp_path: Path) -> None:
    whole = go(Walkers(14, 3), tmp_path / "whole")
    with pytest.raises(Died):
        go(Walkers(14, 3), tmp_path / "zeros", dies_after(4))
    for name in ("turns-000001.msgpack", "calls.msgpack"):
        file = tmp_path / "zeros" / name
        file.write_bytes(file.read_bytes() + bytes(64))
    run = go(Walkers(14, 3), tmp_path / "zeros")
    assert run.calls.tokens_sha256() == whole.calls.tokens_sha256()


def test_turns_before_a_resume_count_towards_the_folder_s_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "LEAST_BYTES", 0)
    for step in range(1, STEPS):
        with pytest.raises(Died):
            go(Walkers(14, 3), tmp_path, dies_after(step))
    assert not (tmp_path / "agents-000001.msgpack").exists()


def test_the_folder_stays_within_a_few_times_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "LEAST_BYTES", 0)
    world = Walkers(14, 3)
    sizes: list[int] = []

    def watch(step: int, calls: CallTable) -> None:
        files = [f for f in tmp_path.glob("*.msgpack") if f.name != "calls.msgpack"]
        assert len(files) <= 2
        sizes.append(sum(file.stat().st_size for file in files))

    go(world, tmp_path, watch)
    agents = max(file.stat().st_size for file in tmp_path.glob("agents-*"))
    assert max(sizes) <= 8 * agents
    assert Journal(tmp_path).agents() is not None

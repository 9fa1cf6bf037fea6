"""Weights in memory that ranks share, with threads as ranks."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from scalesim.deployments.engine.models import shared_memory
from scalesim.deployments.engine.models.shared_memory import shared_file
from scalesim.deployments.engine.sglang import pinned, weight_reader
from scalesim.deployments.engine.sglang.pinned import exactly_pinned
from scalesim.deployments.engine.sglang.weight_reader import BASE, WeightReader
from scalesim.errors import ConfigurationError, InvalidRequestError
from scalesim.settings import ModelSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scalesim.deployments.engine import boot  # noqa: F401  makes SGLang importable

    from scalesim.deployments.engine.sglang.engine_models import EngineModels  # isort: skip

DEADLINE_S = 20.0


class Group:
    """What ranks say, gathered once all have said it."""

    def __init__(self, count: int) -> None:
        self.said: list[Any] = [None] * count
        self.barrier = Barrier(count)


class Rank:
    def __init__(self, group: Group, index: int) -> None:
        self.first, self.count = index == 0, len(group.said)
        self._group, self._index = group, index

    def _gathered(self, value: Any) -> list[Any]:
        self._group.said[self._index] = value
        self._group.barrier.wait(DEADLINE_S)
        said = list(self._group.said)
        self._group.barrier.wait(DEADLINE_S)
        return said

    def agreed(self, yes: bool) -> bool:
        return all(self._gathered(yes))

    def broadcast(self, values: tuple[int, int]) -> tuple[int, int]:
        first: tuple[int, int] = self._gathered(values)[0]
        return first


class Alone:
    first, count = True, 1


def on_ranks(count: int, run: Callable[[Rank], Any]) -> list[Any]:
    group = Group(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, [Rank(group, index) for index in range(count)]))


def denied(path: str, flags: int) -> int:
    raise PermissionError(path)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_one_rank_writes_all_read_and_nothing_is_left() -> None:
    before = descriptors()
    first, second = on_ranks(2, lambda rank: shared_file(rank, 4096))
    ours, theirs = (pinned.pinned(4096, file) for file in (first, second))
    os.close(first), os.close(second)
    ours[7] = 9
    assert theirs[7] == 9
    del ours, theirs
    gc.collect()
    assert descriptors() == before


def test_each_has_its_own_where_one_cannot_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    monkeypatch.setattr(shared_memory.os, "open", denied)
    assert on_ranks(2, lambda rank: shared_file(rank, 4096)) == [None, None]
    monkeypatch.undo()
    assert descriptors() == before


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []

    def counted(view: memoryview, file: Path, known: Any) -> None:
        found.append(file)
        read_into(view, file, known)

    read_into = weight_reader.read_into
    monkeypatch.setattr(weight_reader, "read_into", counted)
    return found


def reader(model: str, ranks: Any) -> WeightReader:
    return WeightReader(Path(model), ModelSettings(roots=(model,)), ranks)


def test_a_model_is_read_once_and_is_the_same_on_all_ranks(
    tiny_model: str, reads: list[Path]
) -> None:
    alone = dict(reader(tiny_model, Alone()).begin(BASE)())
    assert len(reads) == 1
    jobs = on_ranks(2, lambda rank: reader(tiny_model, rank).begin(BASE))
    shared = [dict(job()) for job in jobs]
    assert len(reads) == 2
    for mine in shared:
        assert mine.keys() == alone.keys()
        assert all(torch.equal(mine[name], alone[name]) for name in alone)
    name = next(iter(alone))
    shared[0][name].fill_(3)
    assert (shared[1][name] == 3).all()


def test_a_model_is_counted_as_often_as_it_is_held(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> list[float]:
        readers = on_ranks(2, lambda rank: reader(tiny_model, rank))
        return [each.held_bytes / each.size_bytes for each in readers]

    before = descriptors()
    alone = reader(tiny_model, Alone())
    assert alone.held_bytes == alone.size_bytes
    assert held() == [1.0, 1.0]
    monkeypatch.setattr(shared_memory.os, "open", denied)
    assert held() == [2.0, 2.0]
    monkeypatch.undo()
    assert descriptors() == before


def test_memory_for_one_that_ranks_must_hold_apart_is_refused(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = SimpleNamespace(server_args=SimpleNamespace(model_path=tiny_model))
    size = reader(tiny_model, Alone()).size_bytes
    settings = ModelSettings(roots=(tiny_model,), host_bytes=2 * size - 1)

    def fault(rank: Rank) -> str:
        with pytest.raises(ConfigurationError) as caught:
            EngineModels(scheduler, None, rank, settings)
        return str(caught.value)

    monkeypatch.setattr(shared_memory.os, "open", denied)
    assert all("which share no memory here" in said for said in on_ranks(2, fault))


def test_what_is_not_there_fails_on_all_ranks(tiny_model: str) -> None:
    before = descriptors()
    jobs = on_ranks(2, lambda rank: reader(tiny_model, rank).begin("gone@1"))
    for job in jobs:
        with pytest.raises(InvalidRequestError, match="not registered"):
            job()
    assert descriptors() == before


class Card:
    """Counts what is page-locked."""

    def __init__(self) -> None:
        self.locked: dict[int, int] = {}

    def cudaHostRegister(self, pointer: int, size: int, flags: int) -> int:
        self.locked[pointer] = size
        return 0

    def cudaHostUnregister(self, pointer: int) -> int:
        del self.locked[pointer]
        return 0


def test_exactly_what_is_needed_is_page_locked_until_the_last_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = Card()
    monkeypatch.setattr(pinned, "HAS_GPU", True)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: card)
    given = [torch.rand(3, 5), torch.arange(9, dtype=torch.uint8), torch.ones(2, 2).bfloat16()]
    copies = exactly_pinned(given)
    assert all(torch.equal(*pair) for pair in zip(copies, given, strict=True))
    assert list(card.locked.values()) == [3 * 64]
    last = copies[1]
    del copies
    gc.collect()
    assert card.locked
    del last
    gc.collect()
    assert not card.locked

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.storage.known_pages import KnownPages
from scalesim.errors import ConfigurationError

PAGE = torch.zeros(10, dtype=torch.uint8)
CHAIN = ("a", "b", "c")


class FakeCacheController:
    """What HiCache's controller does with a backend that holds `stored`."""

    def __init__(self) -> None:
        self.stored: set[str] = set()
        self.full = False
        self.fault: Exception | None = None
        self.storage_host_pool = SimpleNamespace(get_dummy_flat_data_page=lambda: PAGE)
        self.page_set_func, self.page_get_func = self._write, self._read
        self._storage_hit_query = self._query

    def _write(self, names: list[str], indices: Any, extra_info: Any = None) -> bool:
        self.stored |= set() if self.full else set(names)
        return not self.full

    def _leading(self, names: list[str]) -> int:
        return next((n for n, name in enumerate(names) if name not in self.stored), len(names))

    def _read(self, operation: Any, names: list[str], indices: Any, extra_info: Any = None) -> int:
        if self.fault is not None:
            raise self.fault
        return 0 if operation.is_terminated() else self._leading(names)

    def _query(self, operation: Any) -> tuple[list[str], int]:
        hits = self._leading(operation.all_hash_values)
        return operation.all_hash_values[:hits], 16 * hits


def operation(*names: str, ended: bool = False) -> Any:
    return SimpleNamespace(all_hash_values=list(names), is_terminated=lambda: ended)


@pytest.fixture(scope="module")
def backends() -> Any:
    assert boot  # prepares a machine without a GPU for SGLang's imports
    from scalesim.deployments.engine.sglang import backends

    return backends


@pytest.fixture
def controller() -> FakeCacheController:
    return FakeCacheController()


@pytest.fixture
def pages(controller: FakeCacheController, backends: Any) -> KnownPages:
    pages: KnownPages = backends.watched(controller, 1000)
    pages.own(1, [CHAIN])
    return pages


def test_what_was_written_is_held(controller: FakeCacheController, pages: KnownPages) -> None:
    assert controller.page_set_func(["a", "b"], None)
    assert (pages.holds(CHAIN), pages.held_bytes, pages.take_changed()) == (2, 20, {1})


def test_what_could_not_be_written_is_not(
    controller: FakeCacheController, pages: KnownPages
) -> None:
    controller.full = True
    assert not controller.page_set_func(["a", "b"], None)
    assert (pages.holds(CHAIN), pages.take_changed()) == (0, set())


def test_a_question_tells_what_came_and_left_unseen(
    controller: FakeCacheController, pages: KnownPages
) -> None:
    controller.stored = {"a", "b"}
    assert controller._storage_hit_query(operation(*CHAIN)) == (["a", "b"], 32)
    assert pages.holds(CHAIN) == 2
    controller.stored = {"a"}
    controller._storage_hit_query(operation(*CHAIN))
    assert pages.holds(CHAIN) == 1


def test_a_read_that_comes_short_tells_what_left(
    controller: FakeCacheController, pages: KnownPages
) -> None:
    controller.page_set_func(list(CHAIN), None)
    controller.stored = {"a"}
    assert controller.page_get_func(operation(), list(CHAIN), None) == 1
    assert pages.holds(CHAIN) == 1


def test_a_read_that_was_called_off_tells_nothing(
    controller: FakeCacheController, pages: KnownPages
) -> None:
    controller.page_set_func(list(CHAIN), None)
    assert controller.page_get_func(operation(ended=True), list(CHAIN), None) == 0
    assert pages.holds(CHAIN) == 3


def test_pages_that_cannot_be_read_are_not_tried_for_ever(
    controller: FakeCacheController, pages: KnownPages
) -> None:
    controller.page_set_func(list(CHAIN), None)
    controller.fault = OSError("short read")
    with pytest.raises(OSError, match="short read"):
        controller.page_get_func(operation(), list(CHAIN), None)
    assert pages.holds(CHAIN) == 0


def test_only_an_engine_of_one_rank_reads_ahead(backends: Any) -> None:
    sizes = {"tp_size": 1, "pp_size": 1, "attn_cp_size": 1}
    assert backends.is_read_ahead(SimpleNamespace(**sizes))
    for size in sizes:
        assert not backends.is_read_ahead(SimpleNamespace(**sizes | {size: 2}))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tape", {}, "use one of aibrix, dynamic, eic, file"),
        ("dynamic", {"class_name": "Diary"}, "need .'module_path', 'backend_name'."),
        (
            "dynamic",
            {"backend_name": "d", "module_path": "no_such_module", "class_name": "D"},
            "cannot be imported",
        ),
        (
            "dynamic",
            {"backend_name": "d", "module_path": "pathlib", "class_name": "Path"},
            "must inherit",
        ),
    ],
)
def test_why_a_backend_cannot_be_used(
    backends: Any, name: str, options: dict[str, Any], message: str
) -> None:
    backends.check("file", {})
    with pytest.raises(ConfigurationError, match=message):
        backends.check(name, options)

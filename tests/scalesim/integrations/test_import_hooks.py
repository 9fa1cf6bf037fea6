"""Hooks are called once a module is there, whoever imports it."""

import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scalesim.integrations import import_hooks
from scalesim.integrations.import_hooks import when_imported


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "hooked_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "hooked_module"
    sys.modules.pop("hooked_module", None)
    import_hooks.remove_all()


def test_it_is_called_after_the_import_and_not_before(module: str) -> None:
    seen: list[int] = []
    when_imported(module, lambda found: seen.append(found.value))
    assert seen == []
    imported = importlib.import_module(module)
    assert seen == [1]
    assert type(imported.__loader__).__name__ == "SourceFileLoader"


def test_at_once_where_it_is_imported(module: str) -> None:
    importlib.import_module(module)
    seen: list[ModuleType] = []
    when_imported(module, seen.append)
    assert seen == [sys.modules[module]]


def test_again_when_it_is_executed_again(module: str) -> None:
    seen: list[ModuleType] = []
    when_imported(module, seen.append)
    importlib.reload(importlib.import_module(module))
    assert len(seen) == 2


def test_several_in_their_order(module: str) -> None:
    seen: list[str] = []
    when_imported(module, lambda found: seen.append("first"))
    when_imported(module, lambda found: seen.append("second"))
    importlib.import_module(module)
    assert seen == ["first", "second"]


class FixedLoader:
    """Takes no other `exec_module`."""

    __slots__ = ()

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.value = 2  # type: ignore[attr-defined]


class FixedFinder:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, FixedLoader()) if name == "hooked_module" else None  # type: ignore[arg-type]


def test_a_loader_that_cannot_be_extended_still_loads(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [FixedFinder(), *sys.meta_path])
    when_imported(module, lambda found: None)
    assert importlib.import_module(module).value == 2


def test_a_module_that_is_not_there_is_still_not_there() -> None:
    when_imported("no_such_module_at_all", lambda found: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_module_at_all")
    import_hooks.remove_all()

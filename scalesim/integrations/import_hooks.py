"""Calls a function once a module has been imported, whoever imports it and whenever.

The way of `opentelemetry-instrument` and `ddtrace-run`: a finder at the head of `sys.meta_path`
lets the others find the module and only adds to the end of its execution.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Hook = Callable[[ModuleType], Any]


class _HookFinder:
    def __init__(self) -> None:
        self.hooks: dict[str, list[Hook]] = {}
        self._seeking: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self.hooks or name in self._seeking:
            return None
        self._seeking.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._seeking.discard(name)
        if spec is not None and spec.loader is not None:
            self._extend(spec.loader, name)
        return spec

    def _extend(self, loader: Any, name: str) -> None:
        """Let a loader call the hooks; it stays what it is, as others look at its class."""
        execute = getattr(loader, "exec_module", None)
        if execute is None or hasattr(execute, "__scalesim__"):
            return  # one of another kind, or that of a module that is imported again

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == name:
                for hook in self.hooks.get(name, ()):
                    hook(module)

        exec_module.__scalesim__ = True  # type: ignore[attr-defined]
        with suppress(AttributeError):  # a loader that cannot be extended: no hook is called
            loader.exec_module = exec_module


_finder = _HookFinder()


def when_imported(name: str, hook: Hook) -> None:
    """Call `hook(module)` after the module's import, or now where it is imported.

    A hook must not raise: wrap it in `faults.harmless`.
    """
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.hooks.setdefault(name, []).append(hook)
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        hook(module)


def remove_all() -> None:
    """Forget all hooks, for tests; what they did to modules stays."""
    _finder.hooks.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)

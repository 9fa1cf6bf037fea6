"""The identity goes where the work goes: threads, pools and processes. asyncio's tasks have it."""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any

from scalesim.caller import caller
from scalesim.integrations.acting import run_as

_IDENTITY = "_scalesim_caller"

_DONE = "__scalesim__"
"""Attribute of functions that were wrapped, so that none is twice."""

_BY_NAME = "func"
"""How the pools of `multiprocessing` call their first argument."""

_POOLS = ("concurrent.futures", "multiprocessing")
"""Modules whose own threads and processes serve everybody; what they are handed brings its
identity."""


def install_threads() -> None:
    """Let a thread act for the agent that started it."""
    original = threading.Thread.start
    if hasattr(original, _DONE):
        return

    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        who = caller.get()
        if who is not None and not serves_all(self):
            self.run = functools.partial(run_as, who, self.run)  # type: ignore[method-assign]
        original(self)

    setattr(start, _DONE, True)
    threading.Thread.start = start  # type: ignore[method-assign]


def install_executors(module: ModuleType) -> None:
    """Let what is submitted to a pool of `concurrent.futures` act for the agent that did it."""
    pool = getattr(module, "ThreadPoolExecutor", None) or module.ProcessPoolExecutor
    _carry_first_argument(pool, ("submit",))


def install_pools(module: ModuleType) -> None:
    """Let what is handed to a pool of `multiprocessing` act for the agent that did it."""
    names = ("apply_async", "imap", "imap_unordered", "_map_async")
    _carry_first_argument(module.Pool, names)


def install_processes(module: ModuleType) -> None:
    """Let a process of `multiprocessing` act for the agent that started it, spawned or forked."""
    process = module.BaseProcess
    original_start, original_bootstrap = process.start, process._bootstrap
    if hasattr(original_start, _DONE):
        return

    @functools.wraps(original_start)
    def start(self: Any) -> None:
        who = None if serves_all(self) else caller.get()
        setattr(self, _IDENTITY, who)  # goes along where the object is pickled
        original_start(self)

    @functools.wraps(original_bootstrap)
    def bootstrap(self: Any, *args: Any, **kwargs: Any) -> Any:
        who = getattr(self, _IDENTITY, None)
        return run_as(who, original_bootstrap, self, *args, **kwargs)

    setattr(start, _DONE, True)
    process.start, process._bootstrap = start, bootstrap


def serves_all(worker: Any) -> bool:
    """Return whether a thread or process is a pool's own, which works for whoever submits."""
    does = getattr(worker, "_target", None) or type(worker)  # a class with a `run` of its own
    module = getattr(does, "__module__", None) or ""
    return module.startswith(_POOLS)


def _carry_first_argument(owner: Any, names: tuple[str, ...]) -> None:
    for name in names:
        original = getattr(owner, name)
        if not hasattr(original, _DONE):
            setattr(owner, name, _carrying(original))


def _carrying(original: Any) -> Any:
    @functools.wraps(original)
    def carrying(self: Any, *args: Any, **kwargs: Any) -> Any:
        who = caller.get()
        if who is not None:
            if args:
                args = (functools.partial(run_as, who, args[0]), *args[1:])
            elif _BY_NAME in kwargs:
                kwargs[_BY_NAME] = functools.partial(run_as, who, kwargs[_BY_NAME])
        return original(self, *args, **kwargs)

    setattr(carrying, _DONE, True)
    return carrying

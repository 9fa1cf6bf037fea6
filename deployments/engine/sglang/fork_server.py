"""The process that an engine's processes are forked from, on machines without a GPU.

SGLang spawns its scheduler and detokenizer, each of which imports it again: 15 s of a core, twice,
which is most of what a start takes here. Imported once, and forked, they start in a second.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing import forkserver
from typing import Any

from scalesim.deployments.engine.boot import HAS_GPU

_PRELOADED = "scalesim.deployments.engine.sglang.preloaded"


class InThisEnvironment:
    """A function for a process that is forked, and has the environment of when it was.

    Args:
        run: What the process runs; can be pickled.
    """

    def __init__(self, run: Callable[..., None]) -> None:
        self._run = run
        self._environment: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_run": self._run, "_environment": dict(os.environ)}

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        tempfile.tempdir = None
        self._run(*args, **kwargs)


def forked(run: Callable[..., None]) -> Callable[..., None]:
    """Return what an engine's process runs where it is forked; `run` itself where SGLang spawns."""
    return run if HAS_GPU else InThisEnvironment(run)


def start() -> None:
    """Start importing SGLang in the fork server, unless there is a GPU; does not wait for it.

    It ends with this process, which has one however often it is started.
    """
    if HAS_GPU:
        return
    forkserver.set_forkserver_preload([_PRELOADED])
    forkserver.ensure_running()


def use() -> None:
    """Have SGLang fork the processes of its engines from it, where it was started."""
    if HAS_GPU:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sglang.srt.entrypoints import engine

    settle = engine._set_envs_and_config
    if settle.__module__ == __name__:
        return

    def settle_and_fork(*args: Any) -> None:
        settle(*args)
        multiprocessing.set_start_method("forkserver", force=True)

    engine._set_envs_and_config = settle_and_fork

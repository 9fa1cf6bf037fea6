"""First module imported in every engine process: prepares a CPU machine, then runs SGLang.

SGLang spawns its scheduler and detokenizer; handing it these functions makes the child import
this module before any of SGLang, which is the moment the CPU shims need.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any


def end_with_parent() -> None:
    """Have the kernel end this process with the one that started it, from now on.

    SGLang asks for the same once it is imported: a replica that ends before leaves orphans.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)


if multiprocessing.parent_process() is not None:  # this is not the replica
    end_with_parent()

import torch  # noqa: E402

from scalesim.deployments.engine.crash_report import end_at_once, reporting_to  # noqa: E402
from scalesim.environment import (  # noqa: E402
    engine_emulation_from_env,
    engine_last_words_from_env,
)
from scalesim.settings import EmulationSettings  # noqa: E402

HAS_GPU = torch.cuda.is_available()

if not HAS_GPU:
    from scalesim.deployments.engine import cpu

    cpu.install()


def run_scheduler(*args: Any, **kwargs: Any) -> None:
    """Scheduler process: SGLang's own, on a CPU with its host tier patched.

    It writes down what it worked on where it crashes.
    """
    _begin()
    if not HAS_GPU:
        cpu.share_processors(args[0].tp_size)
    from sglang.srt.managers.scheduler import Scheduler, run_scheduler_process

    from scalesim.deployments.engine.sglang.local import keep_in_tmpdir

    keep_in_tmpdir()
    emulation = engine_emulation_from_env()
    prepare(emulation)
    if emulation is None and not HAS_GPU:
        cpu.give_way()
    path = engine_last_words_from_env()
    if path is not None:
        run = Scheduler.run_event_loop

        def run_event_loop(self: Any) -> None:
            end_at_once()
            reporting_to(Path(path), partial(run, self))

        Scheduler.run_event_loop = run_event_loop
    run_scheduler_process(*args, **kwargs)


def prepare(emulation: EmulationSettings | None) -> None:
    """Patch SGLang in a scheduler process: nothing compiles later, and what this machine asks for.

    Raises:
        ConfigurationError: A device is to be emulated beside a real one.
    """
    from scalesim.deployments.engine.sglang import page_names
    from scalesim.deployments.engine.sglang.eager_sampling import run_eagerly

    run_eagerly()
    page_names.use()
    if emulation is not None:
        from scalesim.deployments.engine.emulation.device_clock import RealClock
        from scalesim.deployments.engine.emulation.gpu_times import times_of
        from scalesim.deployments.engine.emulation.install import install
        from scalesim.deployments.engine.emulation.storage import watch_storage

        checked = emulation.gpu is None
        watch_storage(install(times_of(emulation), RealClock(), checked=checked))
    elif not HAS_GPU:
        cpu.patch_host_tier()


def run_detokenizer(*args: Any, **kwargs: Any) -> None:
    """Detokenizer process: SGLang's own."""
    _begin()
    from sglang.srt.managers.detokenizer_manager import run_detokenizer_process

    run_detokenizer_process(*args, **kwargs)


def _begin() -> None:
    """Do what a process that was forked has not done when it imported this module."""
    end_with_parent()
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

"""Our place in SGLang's start-up and in its scheduler's loop; `self_check` proves it is taken.

Cache and tree core are selected through SGLang's two backend registries; three methods are hooked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

import zmq
from sglang.srt.managers.scheduler import Scheduler
from sglang.srt.managers.scheduler_components.idle_sleeper import IdleSleeper
from sglang.srt.managers.scheduler_components.request_receiver import SchedulerRequestReceiver
from sglang.srt.mem_cache.registry import create_unified_radix_cache, register_radix_cache_backend
from sglang.srt.mem_cache.unified_cache.tree_core_registry import register_tree_core_backend
from sglang.srt.plugins.hook_registry import HookRegistry, HookType
from sglang.srt.runtime_context import get_parallel
from sglang.version import __version__

from scalesim.deployments.engine.sglang import grammars
from scalesim.deployments.engine.sglang.radix_cache import DistanceRadixCache
from scalesim.deployments.engine.sglang.tree_core import BACKEND, DistanceTreeCore
from scalesim.errors import EngineMismatchError
from scalesim.pins import pinned

ENGINE_VERSION = str(__version__)
SUPPORTED_VERSION = pinned("sglang")

_NAP_MS = 1
"""Longest an idle scheduler takes to see that a copy under way has arrived."""

_HOOKS = (
    f"{Scheduler.__module__}.Scheduler.process_input_requests",
    f"{Scheduler.__module__}.Scheduler.get_init_info",
    f"{SchedulerRequestReceiver.__module__}.SchedulerRequestReceiver._pull_raw_reqs",
)


class Plugin(Protocol):
    """What SGLang's scheduler calls of ours."""

    def receive(self) -> Collection[Any]:
        """On rank 0, every pass: commands to broadcast among the requests."""

    def accept(self, received: list[Any]) -> list[Any]:
        """On every rank: take the commands out of what was received, return the rest."""

    def work(self) -> None:
        """On every rank, every pass, after arrived copies were acknowledged."""

    def open(self, scheduler: Any) -> None:
        """Once: the scheduler is built and its sockets are open."""


def register(plugin: Plugin) -> None:
    """Register our backends and hooks with SGLang."""
    DistanceRadixCache.every_pass = staticmethod(plugin.work)
    register_tree_core_backend(BACKEND, DistanceTreeCore)
    register_radix_cache_backend(
        BACKEND, lambda ctx: create_unified_radix_cache(ctx, cache_class=DistanceRadixCache)
    )

    def process(original: Callable[..., Any], scheduler: Any, requests: list[Any]) -> Any:
        return original(scheduler, plugin.accept(requests))

    def opened(result: Any, scheduler: Any) -> None:
        self_check(scheduler)
        grammars.bound(scheduler.grammar_manager.grammar_backend)
        plugin.open(scheduler)

    process_requests, init_info, _ = _HOOKS
    HookRegistry.register(process_requests, process, HookType.AROUND)
    HookRegistry.register(init_info, opened, HookType.AFTER)
    receive_by(plugin.receive)


def receive_by(receive: Callable[[], Collection[Any]]) -> None:
    """Let rank 0 of a scheduler take what this returns in every pass, beside its requests."""

    def pull(original: Callable[[Any], Any], receiver: Any) -> Any:
        requests = original(receiver)
        if requests is not None:
            requests.extend(receive())
        return requests

    HookRegistry.register(_HOOKS[-1], pull, HookType.AROUND)


def is_first_rank() -> bool:
    """Return whether this scheduler process receives requests for its group."""
    ranks = get_parallel()
    return bool(ranks.pp_rank == ranks.attn_tp_rank == ranks.attn_cp_rank == 0)


def wake_on(scheduler: Any, socket: Any, hurried: Callable[[], bool]) -> None:
    """Let an idle scheduler wake when `socket` can be read, and only nap while `hurried`."""
    sleeper = scheduler.idle_sleeper
    if not isinstance(sleeper, IdleSleeper):
        return
    sleeper.poller.register(socket, zmq.POLLIN)
    sleep = sleeper.maybe_sleep
    sleeper.maybe_sleep = lambda: sleeper.poller.poll(_NAP_MS) if hurried() else sleep()


def self_check(scheduler: Any) -> None:
    """Prove that every hook is in place.

    Raises:
        EngineMismatchError: The engine is another version or a hook did not apply.
    """
    faults = []
    if ENGINE_VERSION != SUPPORTED_VERSION:
        faults.append(f"SGLang is {ENGINE_VERSION}")
    faults += [f"no hook on {target}" for target in _HOOKS if target not in HookRegistry._patched]
    cache = scheduler.tree_cache
    if type(cache) is not DistanceRadixCache:
        faults.append(f"the radix cache is a {type(cache).__name__}")
    elif type(cache.tree_core) is not DistanceTreeCore:
        faults.append(f"the tree core is a {type(cache.tree_core).__name__}")
    if faults:
        raise EngineMismatchError(
            f"the engine does not match our hooks ({'; '.join(faults)}): expected SGLang "
            f"{SUPPORTED_VERSION} started by ScaleSim; install sglang=={SUPPORTED_VERSION}"
        )

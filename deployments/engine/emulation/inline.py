"""A real scheduler in this process, driven pass by pass over a device on a virtual clock.

Everything happens in one thread and at given times, so a run is the same every time. One
a process: SGLang keeps much of its state in modules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zmq

from scalesim.deployments.engine import boot  # noqa: F401 - before SGLang
from scalesim.deployments.engine.directive_executor import DirectiveExecutor
from scalesim.deployments.engine.emulation import processor_times
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest, InlineRequests
from scalesim.deployments.engine.emulation.install import install
from scalesim.deployments.engine.emulation.late_storage import watch_storage_late
from scalesim.deployments.engine.emulation.reads import LateReads
from scalesim.deployments.engine.emulation.times import Times
from scalesim.deployments.engine.launch import prepared, server_args
from scalesim.deployments.engine.messages import Message, encode
from scalesim.deployments.engine.payloads import kinds
from scalesim.deployments.engine.plugin import Command
from scalesim.deployments.engine.sglang.local import leaving_no_files
from scalesim.deployments.engine.sglang.pass_cost import PassCosts
from scalesim.errors import EngineMismatchError
from scalesim.settings import EngineSettings
from scalesim.vocabulary import (
    Directives,
    DistanceUpdate,
    Moves,
    Residency,
    Tier,
    TransferStats,
    Verb,
)

Script = Generator[None, None, None]
"""Runs between passes; yields once for each."""

_FLUSHES = 4000
"""Tries to empty the cache, one a pass: all that was written may still be on its way to storage."""


def import_engine() -> None:
    """Import what an engine needs, the models of its registry included; forks then have it."""
    from sglang.srt.managers import scheduler  # noqa: F401
    from sglang.srt.models.registry import ModelRegistry

    ModelRegistry.get_supported_archs()


class _Silence:
    """A socket on which nothing comes."""

    def recv(self, *args: Any, **kwargs: Any) -> Any:
        """Raise what a socket without messages does."""
        raise zmq.Again

    recv_pyobj = recv


class InlineEngine:
    """One SGLang scheduler with our plugin, on the emulated device.

    Args:
        settings: The engine's; its `emulation` is not read. Only arm `scalesim` takes commands.
        times: Times of the device.
        clock: Clock of the device; it moves with every pass.
        processor: What the scheduler's own takes.
        checked: See `Device`.
        heard: Called with every message of ours for a replica.

    Attributes:
        settings: The engine's.
        scheduler: SGLang's.
        holds: Residency as it was reported last, by kind and agent: a row of `Residency`.
        transfers: Counters as they were reported last, by kind.
        passes: How many there were.
        device: The emulated one.
        slots: Slots of adapters, where it serves them: `LoRASlots`.
    """

    def __init__(
        self,
        settings: EngineSettings,
        times: Times,
        clock: VirtualClock,
        processor: processor_times.ProcessorTimes = processor_times.PASSES_ALONE,
        *,
        checked: bool = True,
        heard: Callable[[Message], None] | None = None,
    ) -> None:
        self._checked = checked
        self._heard = heard
        self._clock = clock
        self._processor = processor
        self._requests = InlineRequests(clock)
        self._sequence = 0
        self._script: Script | None = None
        self._executor: DirectiveExecutor | None = None
        self._costs: PassCosts | None = None
        self.slots: Any = None
        self.passes = 0
        self.holds: defaultdict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
        self.transfers: dict[str, TransferStats] = {}
        self.settings = settings
        self.scheduler = self._make(settings, times)

    def _make(self, settings: EngineSettings, times: Times) -> Any:
        self.device = install(times, self._clock, checked=self._checked)
        self._threads = watch_storage_late(times, self._clock)
        from sglang.srt.managers.scheduler import Scheduler
        from sglang.srt.mem_cache.pool_host import common
        from sglang.srt.plugins import load_plugins
        from sglang.srt.plugins.hook_registry import HookRegistry
        from sglang.srt.runtime_context import SpawnRanks, publish
        from sglang.srt.server_args import PortArgs, ServerArgs

        from scalesim.deployments.engine.models import host_models
        from scalesim.deployments.engine.sglang import hooks

        reads = LateReads(times, self._clock)
        host_models.ThreadPoolExecutor = lambda *_: reads  # type: ignore[assignment,attr-defined]

        # SGLang's is one memory for all forks of this process.
        common.alloc_mmap = lambda dims, dtype: torch.zeros(dims, dtype=dtype)
        load_plugins()
        if settings.arm == "scalesim":
            hooks.register(self)
        else:
            hooks.receive_by(self.receive)
        HookRegistry.apply_hooks()
        arguments = server_args(prepared(settings))
        args = ServerArgs(**{**arguments, "sleep_on_idle": False, "skip_tokenizer_init": True})
        args.resolve_once()
        args.check_server_args()
        publish(args, role="scheduler", ranks=SpawnRanks(world_rank=0, dp_rank=None, gpu_id=0))
        with leaving_no_files():
            scheduler = Scheduler(args, PortArgs.init_new(args))
        scheduler.get_init_info()
        processor_times.watch_processor(scheduler.tree_cache, self._clock, self._processor)
        for sender in (
            scheduler.ipc_channels.send_to_tokenizer,
            scheduler.ipc_channels.send_to_detokenizer,
        ):
            sender.send_output = self._requests.answered
        for name in ("recv_from_tokenizer", "recv_from_rpc"):
            object.__setattr__(scheduler.request_receiver, name, _Silence())
        return scheduler

    def open(self, scheduler: Any) -> None:
        """Take the executor's messages ourselves: there is no replica."""
        from scalesim.deployments.engine.sglang.scheduler_engine import SchedulerEngine

        engine = SchedulerEngine(scheduler, self.settings.models, self.settings.payloads)
        self.slots = engine.slots
        self._executor = DirectiveExecutor(kinds.build(engine), self._receive)
        self._executor.hello(engine.tree.bytes_per_token)
        self._costs = PassCosts(engine.tree)

    def receive(self) -> list[Any]:
        """Begin a pass: run the script up to its next wait, and return what it sent."""
        self.passes += 1
        self._clock.advance(self._processor.pass_s)
        self._threads.go_on()
        try:
            next(self._script or iter(()))
        except StopIteration:
            self.scheduler.gracefully_exit = True
        incoming = self._requests.take_incoming()
        return [*incoming, *(self._costs.measured() if self._costs is not None else ())]

    def accept(self, received: list[Any]) -> list[Any]:
        """Hand commands to the executor, return the engine's own requests."""
        assert self._executor is not None
        assert self._costs is not None
        received = self._costs.taken(received)
        self._executor.accept(item.frame for item in received if isinstance(item, Command))
        return [item for item in received if not isinstance(item, Command)]

    def work(self) -> None:
        """Carry out a bounded share of directives."""
        if self._executor is not None:
            self._executor.work()

    def run(self, script: Script) -> None:
        """Make passes until a script ends; it should leave nothing running.

        Raises:
            RaceError: The device found one.
            Exception: Whatever ends the scheduler.
        """
        self._script = script
        self.scheduler.gracefully_exit = False
        self.scheduler.run_event_loop()

    def ask(
        self, ids: list[int], output_tokens: int, key: int | None = None, **more: Any
    ) -> EmulatedRequest:
        """Send a greedy request; see `InlineRequests.ask`."""
        return self._requests.ask(ids, output_tokens, key, **more)

    def abort(self, asked: EmulatedRequest) -> None:
        """Take a request back."""
        self._requests.abort(asked)

    def request(self, message: Any) -> None:
        """Send one of SGLang's control messages."""
        self._requests.incoming.append(message)

    def push(self, distances: Mapping[int, float], kind: str) -> None:
        """Send distances."""
        keys, values = np.array(list(distances), np.int64), np.array(list(distances.values()))
        self._send(distance_updates=(DistanceUpdate(kind, keys, values.astype(np.float32)),))

    def obey(self, directives: Directives) -> None:
        """Send a controller's directives."""
        self._requests.incoming.append(Command(encode(directives)))

    def move(self, verb: Verb, keys: Iterable[int], tier: Tier, kind: str) -> None:
        """Send one verb for some agents, in their order."""
        agents = np.array(list(keys), np.int64)
        verbs, tiers = (np.full(agents.size, value, np.uint8) for value in (verb, tier))
        self._send(moves=(Moves(kind, verbs, agents, tiers),))

    def answers(self, kind: type) -> Script:
        """Wait for SGLang's answer of a type; drops others that came before it."""
        while not any(isinstance(answer, kind) for answer in self._requests.answers):
            yield
        self._requests.answers.clear()

    def load_adapters(self, root: Path, count: int) -> Script:
        """Load the first adapters below a folder; their ids are the names of their folders."""
        from sglang.srt.managers.io_struct import LoadLoRAAdapterReqInput, LoRAUpdateOutput

        for path in sorted(root.iterdir())[:count]:
            self.request(
                LoadLoRAAdapterReqInput(lora_name=path.name, lora_path=str(path), lora_id=path.name)
            )
            yield from self.answers(LoRAUpdateOutput)

    def flush(self) -> Script:
        """Empty the cache, once nothing runs.

        Raises:
            EngineMismatchError: It cannot be emptied.
        """
        from sglang.srt.managers.io_struct import FlushCacheReqInput, FlushCacheReqOutput

        answers = self._requests.answers
        for _ in range(_FLUSHES):
            self.request(FlushCacheReqInput())
            while not any(isinstance(answer, FlushCacheReqOutput) for answer in answers):
                yield
            done = any(getattr(answer, "success", False) for answer in answers)
            answers.clear()
            if done:
                return
        raise EngineMismatchError("the engine is never idle: something of it does not end")

    def _send(self, **more: Any) -> None:
        self._sequence += 1
        directives = Directives(1, self._sequence, **more)
        self._requests.incoming.append(Command(encode(directives)))

    def _receive(self, message: Message) -> bool:
        if self._heard is not None:
            self._heard(message)
        if isinstance(message, Residency):
            for key, *row in zip(*(column.tolist() for column in message[1:]), strict=True):
                self.holds[message.kind][key] = tuple(row)
        elif isinstance(message, TransferStats):
            self.transfers[message.kind] = message
        return True

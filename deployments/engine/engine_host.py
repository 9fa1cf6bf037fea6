"""An engine and, where it is steered, the channel to its scheduler."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from typing import Any, NamedTuple

import psutil

from scalesim.deployments.engine.channel import ReplicaEnd
from scalesim.deployments.engine.launch import check_tokens, launch, prepared
from scalesim.deployments.engine.messages import Hello
from scalesim.deployments.engine.sglang import fork_server
from scalesim.deployments.engine.sglang.local import environment
from scalesim.deployments.run_folder import RunFolder
from scalesim.environment import (
    ENGINE_CHANNEL,
    ENGINE_EMULATION,
    ENGINE_LAST_WORDS,
    ENGINE_MODELS,
    ENGINE_PAYLOADS,
    ENGINE_STORAGE_BYTES,
)
from scalesim.errors import EngineMismatchError
from scalesim.settings import EngineSettings

HELLO_S = 30.0
"""The engine says hello before its constructor returns; this bounds a lost frame."""

END_S = 10.0
"""Killed processes are waited for: their GPU memory and sockets are free then."""


class SchedulerLink(NamedTuple):
    """An engine that takes directives.

    Attributes:
        channel: Our end of the channel to its scheduler.
        hello: What the scheduler said when it opened.
    """

    channel: ReplicaEnd
    hello: Hello


class EngineHost:
    """Owns one engine's processes. Make it, await `start`, and `stop` it in the end.

    Args:
        settings: As they were given.
        engines: How many share this machine's memory, this one included.

    Attributes:
        engine: SGLang's engine, once started.
        steered: How to steer it; None in the stock and hicache arms.
        last_words: File that its scheduler writes to when it crashes.
    """

    def __init__(self, settings: EngineSettings, engines: int = 1) -> None:
        self.engine: Any = None
        self.steered: SchedulerLink | None = None
        self._channel: ReplicaEnd | None = None
        self._settings = settings
        self._engines = engines
        self._folder = RunFolder()
        self.last_words = self._folder.path / "last-words"

    def import_ahead(self) -> None:
        """Have imported meanwhile what the engine needs, where its processes can be forked.

        What that takes is in the engine's folder, and goes with it.
        """
        with self._folder.as_own_tmpdir():
            fork_server.start()

    def end_with_a_stopped_process(self, stopped_s: float) -> None:
        """Have this process and its engine ended once it was stopped for so long."""
        self._folder.guard(stopped_s)

    async def start(self) -> None:
        """Start the engine; blocks the loop while it loads, as nothing can be served before.

        Raises:
            ConfigurationError: The settings cannot work on this machine; nothing was started, or
                the device has less room than they ask for.
            EngineMismatchError: Our plugin is not in its scheduler.
        """
        fork_server.start()
        self._settings = prepared(self._settings, self._engines)
        variables = {ENGINE_LAST_WORDS: str(self.last_words)}
        if self._settings.emulation is not None:
            variables[ENGINE_EMULATION] = self._settings.emulation.model_dump_json()
        if self._settings.arm != "scalesim":
            self._launch(variables)
            return
        address = f"ipc://{self._folder.path}/channel"
        self._channel = ReplicaEnd(address)
        variables |= {
            ENGINE_CHANNEL: address,
            ENGINE_STORAGE_BYTES: str(self._settings.storage_bytes),
            ENGINE_PAYLOADS: json.dumps(self._settings.payloads),
        }
        if self._settings.models is not None:
            variables[ENGINE_MODELS] = self._settings.models.model_dump_json()
        self._launch(variables)
        try:
            hello = await asyncio.wait_for(self._channel.receive(), HELLO_S)
        except TimeoutError:
            hello = None
        if not isinstance(hello, Hello):
            raise EngineMismatchError(
                "the engine started without saying hello: expected our plugin in its scheduler; "
                "install scalesim-serve in the engine's environment"
            )
        self.steered = SchedulerLink(self._channel, hello)

    def _launch(self, variables: dict[str, str]) -> None:
        """Start the engine with `variables` in the environment of its processes."""
        variables = variables | environment(self._folder.path, self._settings.extra_args)
        os.environ.update(variables)
        try:
            with self._folder.as_own_tmpdir():
                self.engine = launch(self._settings)
        finally:
            for name in variables:
                del os.environ[name]
        check_tokens(self.engine, self._settings)

    def stop(self) -> None:
        """End the engine's processes; safe to call twice and after a failed start."""
        if self._channel is not None:
            self._channel.close()
        if self.engine is not None:
            _end(self.engine)
            self.engine = None
        self._folder.remove()


def _end(engine: Any) -> None:
    """Shut an engine down and end its processes, and only those.

    SGLang's own shutdown ends every child of this process, a Ray cluster it started included.
    """
    from sglang.srt.entrypoints import engine as module

    def kill_own(*args: Any, **kwargs: Any) -> None:
        processes = []
        for pid in engine.get_all_child_pids():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                processes += [*process.children(recursive=True), process]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=END_S)

    kill_all, module.kill_process_tree = module.kill_process_tree, kill_own
    try:
        engine.shutdown()
    finally:
        module.kill_process_tree = kill_all
        # SGLang leaves it to the garbage collector, which would wait without end to send the frames
        # that a scheduler which is gone did not read.
        engine.tokenizer_manager.send_to_scheduler.linger = 0

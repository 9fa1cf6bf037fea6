"""One arm's engine in a process of its own: several are there at once, and take turns."""

from __future__ import annotations

import asyncio
import multiprocessing
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.engine_backend import EngineBackend
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.prices import prices
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.variants import VARIANTS
from benchmarks.gpu.workload_runner import drive
from benchmarks.gpu.workloads import played
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.errors import UnavailableError
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.workload import PromptSize

_END_S = 20.0


class WorkloadRequest(NamedTuple):
    """A run of the society.

    Attributes:
        agents: How many.
        size: Tokens of one call; within the engine's context.
        calls: About, after the warm-up.
        think_s: The simulation's pause after each step.
        seed: Of prompts and activations.
        active: Share of the agents that acts in a step.
    """

    agents: int
    size: PromptSize
    calls: int = 300
    think_s: float = 0.2
    seed: int = 0
    active: float = 0.2


class PriceRequest(NamedTuple):
    """Prices of this engine, by prompts of so many agents, which fit on the device together."""

    agents: int
    size: PromptSize


class ArmProcess:
    """An engine that starts at once, in a process of its own; stop it in the end.

    Args:
        arm: A name of `VARIANTS`.
        setup: Of the engine.
        scratch: For the model and adapters.
    """

    def __init__(self, arm: str, setup: Setup, scratch: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._arm = arm
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(arm, setup, scratch, theirs))
        self._process.start()
        theirs.close()

    def wait_started(self, timeout_s: float) -> None:
        """Wait for the engine.

        Raises:
            UnavailableError: It did not start, or not in time.
        """
        self._answer(timeout_s)

    def ask(self, request: WorkloadRequest | PriceRequest, timeout_s: float) -> Any:
        """Return a run's figures, or `(Prices, bytes per token)`.

        Raises:
            UnavailableError: It failed, or took longer, and is ended: its answer, come late, would
                be taken for the next request's.
        """
        try:
            self._pipe.send(request)
        except OSError as gone:
            raise UnavailableError(f"{self._arm}: its process ended") from gone
        return self._answer(timeout_s)

    def stop(self) -> None:
        """End the process and its engine."""
        if self._process.is_alive():
            self._pipe.close()  # it ends when nobody asks any more
            self._process.join(_END_S)
        self._kill()

    def _kill(self) -> None:
        self._process.kill()  # its engine ends with it
        self._process.join(_END_S)
        self._pipe.close()

    def _answer(self, timeout_s: float) -> Any:
        try:
            if not self._pipe.poll(timeout_s):
                self._kill()
                raise UnavailableError(f"{self._arm}: no answer within {timeout_s:.0f} s")
            fault, answer = self._pipe.recv()
        except (EOFError, OSError) as gone:
            raise UnavailableError(f"{self._arm}: its process ended") from gone
        if fault is not None:
            raise UnavailableError(f"{self._arm}: {fault}")
        return answer


def _run(arm: str, setup: Setup, scratch: Path, pipe: Connection) -> None:
    try:
        asyncio.run(_serve(arm, setup, scratch, pipe))
    except Exception:
        pipe.send((traceback.format_exc()[-3000:], None))


async def _serve(arm: str, setup: Setup, scratch: Path, pipe: Connection) -> None:
    async with engine(setup, VARIANTS[arm].engine, scratch) as host:
        pipe.send((None, None))
        while True:
            try:
                asked = await asyncio.to_thread(pipe.recv)
            except EOFError:
                return
            if isinstance(asked, PriceRequest):
                pipe.send((None, await _prices(asked, setup, host)))
            else:
                pipe.send((None, await _played(asked, arm, setup, host)))


async def _played(
    asked: WorkloadRequest, arm: str, setup: Setup, host: EngineHost
) -> dict[str, Any]:
    workload = played("society", asked.agents, asked.calls, asked.size, asked.seed, asked.active)
    serving = EngineBackend(host, VARIANTS[arm], adapters=setup.adapters)
    try:
        return await drive(workload, serving, RunOptions(workers=1, think_s=asked.think_s))
    finally:
        await serving.stop()


async def _prices(asked: PriceRequest, setup: Setup, host: EngineHost) -> Any:
    steered = DrivenEngine(host)
    prompts = Prompts(setup._replace(agents=asked.agents, size=asked.size), 1)
    try:
        return await prices(steered, prompts, asked.agents), steered.bytes_per_token
    finally:
        await steered.stop()

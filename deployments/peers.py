"""What the processes of the ingress tell each other: losses, recorded requests, figures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from grpc.aio import AioRpcError
from prometheus_client.core import Metric
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.deployments.ingress_metrics import IngressMetrics
from scalesim.deployments.rotation import ROTATION
from scalesim.deployments.suspects import Loss, Suspects, Suspicion
from scalesim.deployments.trace_recorder import AnsweredRequest, TraceRecorder

_ANSWER_S = 5.0
"""Longest that others are waited for: one that hangs is replaced, and then the rest answer."""

_SPREAD_S = 1.0
"""Longest that a refusal waits until others would refuse the same."""

_TRACE_S = 0.1
"""How often steps and requests of others are asked for while a trace is recorded."""

_logger = logging.getLogger(__name__)

AGAIN_S = 0.5
"""How long until losses are sent to silent processes again."""


class Answers(NamedTuple):
    """What processes of the ingress answered.

    Attributes:
        given: Of those that did; nothing where a process is alone.
        of_all: Whether none was left out.
    """

    given: list[Any]
    of_all: bool = True


AskPeers = Callable[..., Awaitable[Answers]]
"""Asks all processes, this one included: the question and what `Peers.answer` takes with it."""

StepsBySimulation = Callable[[], Awaitable[dict[str, int]]]


class Peers:
    """Lets the ingress' processes ask and tell each other. Create it in a running event loop.

    Args:
        name: Name of this process.
        metrics: Metrics of this process.
        steps: Returns the step of every simulation.
        ask: See `AskPeers`.
        doubt: Called with each replica that vanished from another process: see `Rotation.doubt`.

    Attributes:
        suspects: What is known of requests that were lost, here or elsewhere.
        recorder: Recorder of requests that are answered, here or elsewhere.
        loops: What runs.
    """

    def __init__(
        self,
        name: str,
        metrics: IngressMetrics,
        steps: StepsBySimulation,
        ask: AskPeers,
        doubt: Callable[[str], None] = ROTATION.doubt,
    ) -> None:
        self._name = name
        self._metrics = metrics
        self._read_steps = steps
        self._ask = ask
        self._doubt = doubt
        self._losses: asyncio.Queue[Loss] = asyncio.Queue()
        self._unshared: list[Loss] = []
        self._sent = 0
        self._heard: dict[str, int] = {}
        self._knows_suspects = False
        self._steps: dict[str, int] = {}
        self._got: dict[str, int] = {}
        self._wanted: frozenset[str] = frozenset()
        self.suspects = Suspects(tell=self._losses.put_nowait)
        self.recorder = TraceRecorder(
            lambda simulation: self._steps.get(simulation, 0), self.collect
        )
        self._sharing = BackgroundLoop("suspects", self._share)
        self.loops = (self._sharing, BackgroundLoop("trace", self._follow))

    def answer(self, question: str, *more: Any) -> Any:
        """Return what another process asks of this one."""
        match question:
            case "figures":
                return self._name, self._metrics.families()
            case "suspects":
                return self.suspects.known()
            case "losses":
                return self._learn(*more)
            case "answered":
                return self._name, self._answered(*more)
        raise ValueError(f"{question!r} is not asked among processes of the ingress")

    async def spread(self) -> None:
        """Wait until the others know of the losses that are known here, or one hangs."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._losses.join(), _SPREAD_S)

    async def figures(self) -> list[tuple[str, Sequence[Metric]]]:
        """Return the metrics of all processes by name; this one's where others do not answer."""
        return (await self._ask("figures")).given or [self.answer("figures")]

    async def collect(self) -> None:
        """Take over what others answered of the simulations that are recorded here."""
        wanted = self._wanted = self.recorder.wanted
        asked = await self._ask("answered", self._name, wanted, self._got)
        for process, events in asked.given:
            last = self._got.get(process, 0)  # another collection may have come before this one
            self.recorder.add([event for event in events if event.number > last])
            if events:
                self._got[process] = max(last, events[-1].number)

    def _answered(
        self, process: str, wanted: frozenset[str], got: dict[str, int]
    ) -> list[AnsweredRequest]:
        if process == self._name:
            return []
        return self.recorder.collect(process, wanted, got.get(self._name, 0))

    def _learn(self, process: str, number: int, losses: list[Loss]) -> None:
        """Take over losses once: they come again while another process has not heard them.

        A process's own are known to it, and may have been answered since it sent them.
        """
        if process != self._name and number > self._heard.get(process, 0):
            self._heard[process] = number
            self.suspects.learn(losses)
            for loss in losses:
                if loss.verdict is Suspicion.UNKNOWN:  # known before Serve takes it out as if well
                    self._doubt(loss.replica)

    async def _share(self) -> None:
        """Learn what others know, as they do after this one was lost; then send what is found.

        What one of them could not be asked or did not hear comes again.
        """
        if not self._knows_suspects:
            known = await self._ask("suspects")
            for losses in known.given:
                self.suspects.learn(losses)
            if not known.of_all:
                await asyncio.sleep(AGAIN_S)
                return
            self._knows_suspects = True
        if not self._unshared:
            self._unshared.append(await self._sharing.until(self._losses.get()))
            while not self._losses.empty():
                self._unshared.append(self._losses.get_nowait())
            self._sent += 1
        if not (await self._ask("losses", self._name, self._sent, self._unshared)).of_all:
            await asyncio.sleep(AGAIN_S)
            return
        for _ in self._unshared:
            self._losses.task_done()
        self._unshared = []

    async def _follow(self) -> None:
        await asyncio.sleep(_TRACE_S)
        if self.recorder.wanted:
            self._steps = await self._read_steps()
        if self.recorder.wanted or self._wanted:  # or others would go on to keep it for this one
            await self.collect()


async def no_peers(question: str, *more: Any) -> Answers:
    """Return nothing: a single process has no others to ask."""
    return Answers([])


def peers_in_serve(processes: int, method: str) -> AskPeers:
    """Return what asks all processes of this deployment.

    Args:
        processes: How many there are to be.
        method: Name of their method that passes questions on to `Peers.answer`.
    """
    if processes == 1:
        return no_peers
    own = serve.get_replica_context()
    handle: Any = serve.get_deployment_handle(
        own.deployment, own.app_name, _check_exists=False, _record_telemetry=False
    )

    async def ask(question: str, *more: Any) -> Answers:
        try:
            asked = handle.broadcast(method, question, *more)
            answers = await asked.results_async(timeout_s=_ANSWER_S, return_exceptions=True)
        except (RayError, RayServeException, AioRpcError, RuntimeError, TimeoutError) as error:
            _logger.warning("Not all processes of the ingress answer: %r", error)
            return Answers([], of_all=False)
        given = [one for one in answers if not isinstance(one, BaseException)]
        return Answers(given, len(given) == len(answers))

    return ask

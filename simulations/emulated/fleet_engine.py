"""One of several engines on virtual clocks: a process of its own, driven a pass at a time."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.gpu_times import processor_times, times_of
from scalesim.deployments.engine.emulation.inline import InlineEngine, Script
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.deployments.engine.messages import Message, decode, encode
from scalesim.errors import EngineMismatchError
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import ArmOptions, EmulatedCase
from scalesim.simulations.emulated.emulated_stack import engine_settings
from scalesim.vocabulary import Directives

_PASS_S = 120.0
"""Longest that a pass may take here; the first one comes after the engine's start."""


class FleetRequest(msgspec.Struct):
    """A request: its number, the prompt, tokens of the answer, the agent, and its next use."""

    number: int
    ids: list[int]
    output: int
    key: int
    next_use: float | None = None


class FleetAnswer(msgspec.Struct):
    """What came of a request: when it began and ended, where its prompt was found, the tokens."""

    number: int
    first_s: float
    done_s: float
    found: dict[str, int]
    tokens: list[int]


class _Orders(msgspec.Struct):
    """What an engine gets before a pass; idle, it lets time pass until then."""

    until: float
    requests: list[FleetRequest]
    directives: list[bytes]


class _State(msgspec.Struct):
    """What an engine says after a pass."""

    now: float
    idle: bool
    answers: list[FleetAnswer]
    messages: list[bytes]


class FleetEngine:
    """An engine in a fork of this process; `close` ends it.

    Args:
        name: Name of its replica.
        case: What the machine is: its agents are those that one engine's memory is a share of.
        options: Options of the arm.
        emulation: Names the GPU and the model.

    Attributes:
        name: Name of its replica.
        now: Its clock.
        inside: Requests that it has not answered.
    """

    def __init__(
        self, name: str, case: EmulatedCase, options: ArmOptions, emulation: EmulationSettings
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(theirs, self._pipe, case, options, emulation), daemon=True
        )
        self._process.start()
        theirs.close()
        self._requests: list[tuple[float, FleetRequest]] = []
        self._directives: list[bytes] = []
        self.name, self.now, self.inside = name, 0.0, 0

    def ask(self, at_s: float, request: FleetRequest) -> None:
        """Send a request that is there at that time."""
        self._requests.append((at_s, request))
        self.inside += 1

    def obey(self, directives: Directives) -> None:
        """Send directives; they are there before the next pass."""
        self._directives.append(encode(directives))

    def heard(self) -> tuple[list[Message], Sequence[FleetAnswer]]:
        """Return what it says of its start, or of the pass that `go_on` began, once that is made.

        Raises:
            EngineMismatchError: It ended, or does not answer.
        """
        if not self._pipe.poll(_PASS_S):
            raise EngineMismatchError(f"{self.name} makes no pass in {_PASS_S:g} s")
        try:
            state = msgspec.msgpack.decode(self._pipe.recv_bytes(), type=_State)
        except EOFError as error:
            raise EngineMismatchError(f"{self.name} ended: its output says why") from error
        self.now = state.now
        self.inside -= len(state.answers)
        return [decode(frame) for frame in state.messages], state.answers

    def go_on(self, until: float) -> None:
        """Let it make a pass, or, where it has nothing to do, time pass until then."""
        there = [request for at_s, request in self._requests if at_s <= self.now]
        self._requests = [each for each in self._requests if each[0] > self.now]
        until = min([until, *(at_s for at_s, _ in self._requests)])
        orders = _Orders(until, there, self._directives)
        self._directives = []
        self._pipe.send_bytes(msgspec.msgpack.encode(orders))

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


def _run(
    pipe: Connection,
    theirs: Connection,
    case: EmulatedCase,
    options: ArmOptions,
    emulation: EmulationSettings,
) -> None:
    theirs.close()
    clock, said = VirtualClock(), list[bytes]()
    with tempfile.TemporaryDirectory(prefix="scalesim-fleet-") as folder:
        engine = InlineEngine(
            engine_settings(case, options, Path(folder)),
            times_of(emulation.model_copy(update={"dilate": 1.0})),
            clock,
            processor_times(emulation),
            checked=False,
            heard=lambda message: said.append(encode(message)),
        )
        engine.run(_driven(pipe, clock, engine, said))


def _driven(
    pipe: Connection, clock: VirtualClock, engine: InlineEngine, said: list[bytes]
) -> Script:
    """Say what a pass did and do what is ordered, until nobody orders any more."""
    running: dict[int, EmulatedRequest] = {}
    while True:
        done = {number: asked for number, asked in running.items() if asked.done}
        running = {number: asked for number, asked in running.items() if not asked.done}
        answers = [_answer(number, asked) for number, asked in done.items()]
        state = _State(clock.now(), not running, answers, said.copy())
        said.clear()
        try:
            pipe.send_bytes(msgspec.msgpack.encode(state))
            orders = msgspec.msgpack.decode(pipe.recv_bytes(), type=_Orders)
        except (EOFError, OSError):
            return
        for frame in orders.directives:
            message: Any = decode(frame)
            engine.obey(message)
        for each in orders.requests:
            more = {} if each.next_use is None else {"next_use": each.next_use}
            running[each.number] = engine.ask(
                each.ids,
                each.output,
                each.key,
                stream=True,
                return_logprob=False,
                top_logprobs_num=0,
                **more,
            )
        if not running:
            clock.wait_until(orders.until)
        yield


def _answer(number: int, asked: EmulatedRequest) -> FleetAnswer:
    found = (asked.meta or {}).get("cached_tokens_details") or {}
    counts = {tier: int(tokens) for tier, tokens in found.items() if isinstance(tokens, int)}
    return FleetAnswer(number, asked.first_s, asked.done_s, counts, list(asked.tokens or ()))

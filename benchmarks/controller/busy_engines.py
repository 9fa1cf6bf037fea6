"""Made-up engines: each holds agents, of which some begin and end requests in every pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.api import ReplicaCalls
from scalesim.deployments.controller_link import Link
from scalesim.deployments.engine.messages import Hello, Message
from scalesim.identity import agent_keys
from scalesim.vocabulary import PREFIX, Budgets, Directives, Residency, Tier, Verb

AGENTS = 1000
PASS_S = 0.01
PERIOD = 50
"""Steps after which an agent acts again."""

DEVICE_SHARE = 0.25
_TURNS_A_PASS = 5  # requests that begin, and as many that end
_LOST_A_PASS = 0.03  # nearest agents that lose their place by pressure
_BYTES = 128 * 2**20


def ids(number: int) -> list[str]:
    """Return the agents of one engine."""
    return [f"{number}/{agent}" for agent in range(AGENTS)]


def distances(step: int) -> NDArray[np.float32]:
    """Return float32[AGENTS], when each acts next."""
    return ((np.arange(AGENTS) - step) % PERIOD).astype(np.float32)


class BusyEngine:
    """One engine, which moves what it is told to at once; also the channel to it.

    Args:
        number: Of the engine.
        simulation: Whose agents it holds.

    Attributes:
        delays_s: Seconds from handing on that an agent lost its place to the order to bring it.
        updates: How often the link took what the engine had said.
    """

    def __init__(self, number: int, simulation: str) -> None:
        self.keys = agent_keys(simulation, ids(number))
        self.delays_s: list[float] = []
        self.updates = 0
        self._rng = np.random.default_rng(number)
        self._index = {key: row for row, key in enumerate(self.keys.tolist())}
        self._on_device = np.zeros(AGENTS, np.bool_)
        self._in_use = np.zeros(AGENTS, np.bool_)
        self._changed = np.zeros(AGENTS, np.bool_)
        self._lost: dict[int, float] = {}
        self._passed = time.monotonic()

    def hello(self) -> Hello:
        """Return what it says first."""
        held = AGENTS * _BYTES
        return Hello((PREFIX,), (Budgets(int(held * DEVICE_SHARE), 2 * held, 0),), 131072)

    async def send(self, message: Message) -> None:
        """Carry out directives."""
        assert isinstance(message, Directives)
        if message.resync:
            self._changed[:] = True
        now = time.monotonic()
        for moves in message.moves:
            rows = np.array([self._index[key] for key in moves.keys.tolist()], np.int64)
            up = (moves.verbs == Verb.PREFETCH) & (moves.tiers == Tier.DEVICE)
            down = (moves.verbs == Verb.DEMOTE) & ~self._in_use[rows]
            self._on_device[rows[up]] = True
            self._on_device[rows[down]] = False
            self._changed[rows] = True
            for row in rows[up].tolist():
                if (since := self._lost.pop(row, None)) is not None:
                    self.delays_s.append(now - since)

    async def gather(self, within_s: float, until: float) -> list[Message]:
        """Return what the passes since the last time changed, a message a pass."""
        await asyncio.sleep(max(within_s, until - time.monotonic()))
        self.updates += 1
        passes = max(int((time.monotonic() - self._passed) / PASS_S), 1)
        self._passed = time.monotonic()
        return [self._pass() for _ in range(passes)]

    def _pass(self) -> Residency:
        running = np.flatnonzero(self._in_use)
        self._turn(running[:_TURNS_A_PASS], False)
        self._turn(self._rng.integers(0, AGENTS, _TURNS_A_PASS), True)
        if self._rng.random() < _LOST_A_PASS:
            held = np.flatnonzero(self._on_device & ~self._in_use)
            if held.size:
                row = int(self._rng.choice(held))
                self._on_device[row] = False
                self._changed[row] = True
                self._lost[row] = time.monotonic()
        rows = np.flatnonzero(self._changed)
        self._changed[:] = False
        size = np.full(rows.size, _BYTES, np.int64)
        on_device = size * self._on_device[rows]
        none = np.zeros(rows.size, np.int64)
        in_use = self._in_use[rows].copy()
        return Residency(PREFIX, self.keys[rows], on_device, size, none, size, in_use)

    def _turn(self, rows: NDArray[np.int64], in_use: bool) -> None:
        self._in_use[rows] = in_use
        self._on_device[rows] |= in_use
        self._changed[rows] = True


class EngineHosts:
    """Some engines with their links, in one process; a Ray actor.

    Args:
        numbers: Of the engines.
        simulation: Whose agents they hold.
        controller: Makes what the links call.
    """

    def __init__(
        self, numbers: range, simulation: str, controller: Callable[[], ReplicaCalls]
    ) -> None:
        self._engines = [BusyEngine(number, simulation) for number in numbers]
        self._names = [f"replica-{number:03}" for number in numbers]
        self._make, self._links = controller, list[Link]()

    async def attach(self) -> None:
        """Attach all."""
        calls = self._make()
        for name, engine in zip(self._names, self._engines, strict=True):
            self._links.append(Link(name, calls, engine, engine.hello(), reserve_share=0.1))

    async def take(self) -> tuple[int, list[float]]:
        """Return updates and delays since the last time."""
        updates = sum(engine.updates for engine in self._engines)
        delays = [delay for engine in self._engines for delay in engine.delays_s]
        for engine in self._engines:
            engine.updates, engine.delays_s = 0, []
        return updates, delays

    async def stop(self) -> None:
        """Detach all."""
        await asyncio.gather(*(link.stop() for link in self._links))

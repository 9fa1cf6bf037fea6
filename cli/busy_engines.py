"""Made-up engines: each holds agents, of which some begin and end requests in every pass."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.api import ReplicaCalls
from scalesim.deployments.controller_link import Link
from scalesim.deployments.engine.channel import GatherUntil
from scalesim.deployments.engine.messages import Hello, Message
from scalesim.identity import agent_keys
from scalesim.policies.placement import rendezvous
from scalesim.vocabulary import (
    NEAR,
    PREFIX,
    Budgets,
    Directives,
    Keys,
    Residency,
    Tier,
    TransferStats,
    Verb,
)

AGENTS = 1000
PASS_S = 0.01
PERIOD = 50
"""Steps after which an agent acts again."""

DEVICE_SHARE = 0.25
_BEGIN_A_PASS, _RUNNING = 4, 100  # a request of 25 tokens each
_LOST_A_PASS = 0.03  # times that an agent which is soon to act loses its place by pressure
_BYTES = 128 * 2**20


def name_of(number: int) -> str:
    """Return the name of an engine's replica."""
    return f"replica-{number:03}"


def homes(simulation: str, replicas: int) -> list[Keys]:
    """Return the agents of each of so many engines, int64[AGENTS]: those that hash there."""
    keys = agent_keys(simulation, [str(agent) for agent in range(2 * AGENTS * replicas)])
    home = rendezvous(keys, [name_of(number) for number in range(replicas)])
    return [keys[home == number][:AGENTS] for number in range(replicas)]


def distances(step: int, agents: int = AGENTS) -> NDArray[np.float32]:
    """Return float32[agents], when each acts next."""
    return ((np.arange(agents) - step) % PERIOD).astype(np.float32)


class BusyEngine:
    """One engine, which moves what it is told to at once; also the channel to it.

    Args:
        number: Number of the engine.
        keys: int64[n] of its agents.

    Attributes:
        delays_s: Seconds from handing on that an agent lost its place to the order to bring it.
        updates: How often the link took what the engine had said.
    """

    def __init__(self, number: int, keys: Keys) -> None:
        self.keys = keys
        self.delays_s: list[float] = []
        self.updates = 0
        self._rng = np.random.default_rng(number)
        self._index = {key: row for row, key in enumerate(self.keys.tolist())}
        self._on_device = np.zeros(keys.size, np.bool_)
        self._in_use = np.zeros(keys.size, np.bool_)
        self._running: deque[int] = deque()
        self._places = int(keys.size * DEVICE_SHARE)
        self._distance = np.full(keys.size, np.inf, np.float32)
        self._changed = np.zeros(keys.size, np.bool_)
        self._lost: dict[int, float] = {}
        self._evicted_near = 0
        self._passed = time.monotonic()

    def hello(self) -> Hello:
        """Return what it says first."""
        budgets = Budgets(self._places * _BYTES, 2 * self.keys.size * _BYTES, 0)
        return Hello((PREFIX,), (budgets,), 131072)

    async def send(self, message: Message) -> None:
        """Carry out directives."""
        assert isinstance(message, Directives)
        if message.resync:
            self._changed[:] = True
        now = time.monotonic()
        for near in message.distance_updates:
            self._distance[self._rows(near.keys)] = near.distances
        for moves in message.moves:
            rows = self._rows(moves.keys)
            up = (moves.verbs == Verb.PREFETCH) & (moves.tiers == Tier.DEVICE)
            down = (moves.verbs == Verb.DEMOTE) & ~self._in_use[rows]
            self._on_device[rows[up]] = True
            self._on_device[rows[down]] = False
            self._changed[rows] = True
            for row in rows[up].tolist():
                if (since := self._lost.pop(row, None)) is not None:
                    self.delays_s.append(now - since)

    async def gather(
        self, wait: GatherUntil, is_urgent: Callable[[Message], bool]
    ) -> list[Message]:
        """Return what the passes since the last time changed: a message a pass, and the counts."""
        self.updates += 1
        messages: list[Message] = []
        until = wait.until
        while True:
            await asyncio.sleep(wait.within_s)
            passes = max(int((time.monotonic() - self._passed) / PASS_S), 1)
            self._passed = time.monotonic()
            messages += [self._pass() for _ in range(passes)]
            transfer = TransferStats(PREFIX, evicted_near=self._evicted_near)
            if is_urgent(transfer):
                until = min(until, wait.urgent_until)
            if time.monotonic() >= until:
                return [*messages, transfer]

    def _pass(self) -> Residency:
        drawn = np.unique(self._rng.integers(0, self.keys.size, 2 * _BEGIN_A_PASS))
        # Whose turn is near has not acted yet: an order for it is due at once.
        free = ~self._in_use[drawn] & ~(self._distance[drawn] <= NEAR)
        begun = self._rng.permutation(drawn[free])[:_BEGIN_A_PASS]
        for row in begun.tolist():
            self._lost.pop(row, None)  # its request brings it: no order is waited for
        self._running.extend(begun.tolist())
        self._in_use[begun] = self._on_device[begun] = self._changed[begun] = True
        while len(self._running) > _RUNNING:
            row = self._running.popleft()
            self._in_use[row], self._changed[row] = False, True
        self._make_room()
        if self._rng.random() < _LOST_A_PASS:
            self._lose()
        rows = np.flatnonzero(self._changed)
        self._changed[:] = False
        size = np.full(rows.size, _BYTES, np.int64)
        on_device = size * self._on_device[rows]
        none = np.zeros(rows.size, np.int64)
        in_use = self._in_use[rows].copy()
        return Residency(PREFIX, self.keys[rows], on_device, size, none, size, in_use)

    def _make_room(self) -> None:
        """Evict the farthest, as an engine does whose requests need their places."""
        over = int(np.count_nonzero(self._on_device)) - self._places
        if over > 0:
            idle = np.flatnonzero(self._on_device & ~self._in_use)
            farthest = idle[np.argpartition(self._distance[idle], -over)[-over:]]
            self._on_device[farthest], self._changed[farthest] = False, True

    def _lose(self) -> None:
        soon = np.flatnonzero(self._on_device & ~self._in_use & (self._distance <= NEAR))
        if soon.size:
            row = int(self._rng.choice(soon))
            self._on_device[row], self._changed[row] = False, True
            self._lost[row] = time.monotonic()
            self._evicted_near += 1

    def _rows(self, keys: Keys) -> NDArray[np.int64]:
        return np.array([self._index[key] for key in keys.tolist()], np.int64)


class EngineHosts:
    """Some engines with their links, in one process; a Ray actor.

    Args:
        agents: int64[n] of each engine, by its number.
        controller: Makes what the links call.
    """

    def __init__(self, agents: Mapping[int, Keys], controller: Callable[[], ReplicaCalls]) -> None:
        self._engines = [BusyEngine(number, keys) for number, keys in agents.items()]
        self._names = [name_of(number) for number in agents]
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

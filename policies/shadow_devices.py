"""What LRU and an oracle would have had on the device, for the same requests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.distance.learned.learner import Ahead
from scalesim.policies.distance.learned.recency import Recency
from scalesim.policies.distance.learned.shadow_scoring import Scoreboard, ShadowCaches
from scalesim.policies.planning import Rows
from scalesim.vocabulary import Keys

ORDERS = ("stack", "lru", "oracle")
"""Who is compared: the stack itself, least recently used, and Belady's order."""

_NEVER = 1e18  # a next use that is not in sight; requests are counted from 0
_HALF_LIFE = 1024.0  # requests: figures are of about the last thousand
_RESIZED = 0.1  # a device this much larger or smaller makes the shadows start over


class ShadowDevices:
    """Two simulated devices, LRU and oracle, over a bounded sample of agents, to compare with.

    A sample of one agent in k with a cache of one k-th behaves like the whole (Waldspurger et al.,
    SHARDS, FAST 2015). A request is scored only when twice as many more as there are agents have
    come: by then the oracle can know which agent's next request is farthest. An agent's first
    request is not counted, as no order could have kept its state.

    The oracle fetches on demand only: a stack that fetches ahead of requests may do better.

    Args:
        agents: Most agents in the sample.
    """

    def __init__(self, agents: int = 512) -> None:
        self._most = agents
        self._scores = Scoreboard(len(ORDERS), half_life=_HALF_LIFE)
        self._scored = False
        self._stride = 1
        self._start(0.0)

    @property
    def hit_shares(self) -> dict[str, float]:
        """Share of lately repeated requests that each of `ORDERS` had; empty before there are any.

        The stack's counts what part of each request's state was there.
        """
        if not self._scored:
            return {}
        return dict(zip(ORDERS, self._scores.hit_shares.tolist(), strict=True))

    def observe(self, keys: Keys, held: NDArray[np.float64], capacity: float) -> None:
        """Note requests, in order.

        Args:
            keys: int64[n], hashed, of the agents.
            held: float64[n], share of their state that was on the device.
            capacity: How many agents' states fit on all devices.
        """
        if abs(capacity - self._capacity) > _RESIZED * self._capacity:
            self._start(capacity)
        for key, share in zip(keys.tolist(), held.tolist(), strict=True):
            if key % self._stride == 0:
                self._note(self._numbers.setdefault(key, len(self._numbers)), share)

    def _start(self, capacity: float) -> None:
        """Begin with empty shadows."""
        window = 2 * self._most
        self._capacity = capacity
        self._numbers: dict[int, int] = {}
        self._seen = np.zeros(self._most, np.bool_)
        self._last: Rows = np.full(self._most, -1, np.int64)
        self._agent: Rows = np.zeros(window + 1, np.int64)
        self._held = np.zeros(window + 1)
        self._next = np.full(window + 1, _NEVER)
        self._came = self._scored_until = 0
        self._recency, self._foresight = Recency(self._most), _Foresight(self._most)
        share = round(capacity / self._stride)
        self._caches = ShadowCaches([self._recency, self._foresight], self._most, share)

    def _note(self, agent: int, held: float) -> None:
        if agent == self._most:
            self._stride *= 2
            self._start(self._capacity)
            return
        place = self._came % self._agent.size
        if self._last[agent] >= self._scored_until:
            self._next[self._last[agent] % self._next.size] = self._came
        else:
            self._foresight.next_use[agent] = self._came
        self._last[agent] = self._came
        self._agent[place], self._held[place], self._next[place] = agent, held, _NEVER
        self._came += 1
        if self._came - self._scored_until > 2 * len(self._numbers):
            self._score(self._scored_until % self._agent.size)
            self._scored_until += 1

    def _score(self, place: int) -> None:
        agent = self._agent[place]
        self._recency.observe(self._agent[place : place + 1])
        self._foresight.next_use[agent] = self._next[place]
        hits = self._caches.request(int(agent))
        if self._seen[agent]:
            self._scores.update(np.concatenate([self._held[place : place + 1], hits]))
            self._scored = True
        self._seen[agent] = True


class _Foresight:
    """A learner that knows when each agent asks next after the requests scored so far."""

    def __init__(self, agents: int) -> None:
        self.next_use = np.full(agents, _NEVER)

    def observe(self, agents: Rows) -> None:
        """Learn nothing: all of it is known."""

    def ahead(self) -> Ahead:
        """Return the count of requests at which each agent asks next."""
        return self.next_use

"""Distances for simulations that report none: learned from their requests, for any agents."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.learned import Learned
from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances, Keys


class OnlineDistanceLearner:
    """`Learned` for one simulation whose agents are keys and whose number is not known beforehand.

    When more agents appear than there is room for, learning starts over with twice the room, on
    the requests it remembers.

    Args:
        capacity: How many agents' states fit on the device.
        agents: Room to begin with.
        remembered: Requests to start over on.
        sample: Most agents to score learners with.
    """

    def __init__(
        self, capacity: int, agents: int = 256, remembered: int = 1024, sample: int = 1024
    ) -> None:
        self._capacity = capacity
        self._sample = sample
        self._room = agents
        self._learned = Learned(agents, capacity, sample)
        self._rows: dict[int, int] = {}
        self._recent: Rows = np.zeros(0, np.int64)
        self._remembered = remembered

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def keys(self) -> Keys:
        """Agents seen so far, in the order of their first requests."""
        return np.fromiter(self._rows, np.int64, len(self._rows))

    @property
    def hit_shares(self) -> dict[str, float]:
        """Share of recent requests each learner would have served from the device."""
        return self._learned.hit_shares

    @property
    def leader(self) -> str:
        """Name of the learner believed now."""
        return self._learned.leader

    def observe(self, keys: Keys, now: float = 0.0) -> None:
        """Note requests made in step `now` (the simulation's epoch), in order."""
        known = self._rows
        rows = np.array([known.setdefault(key, len(known)) for key in keys.tolist()], np.int64)
        if len(known) > self._room:
            self._room = 2 * len(known)
            self._learned = Learned(self._room, self._capacity, self._sample)
            self._learned.observe(self._recent, now)
        self._learned.observe(rows, now)
        self._recent = np.concatenate([self._recent, rows])[-self._remembered :]

    def distances(self, now: float = 0.0) -> Distances:
        """Return float32[n] steps to the next request of each agent of `keys`."""
        return self._learned.distances(now)[: len(self)]

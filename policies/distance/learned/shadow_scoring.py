"""Shadow scoring: which prediction would have served the recent past best?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.distance.learned.learner import Learner


class Scoreboard:
    """Discounted hits of several candidates; the first one leads until it is beaten clearly.

    With a half life of h requests about 1.4 h requests count. A leader is replaced by a candidate
    that is ahead by more than `margin` of these, and at once by the first candidate, the floor,
    when that is ahead at all: so the floor is missed by at most the hits lost while it catches up.

    Args:
        candidates: How many; number 0 is the floor.
        half_life: Requests after which a hit counts half.
        margin: Share of the requests counted so far a challenger must be ahead by.
        trusted: Who leads before anything is known.
    """

    def __init__(
        self, candidates: int, half_life: float = 256.0, margin: float = 0.01, trusted: int = 0
    ) -> None:
        self._score = np.zeros(candidates)
        self._weight = 0.0
        self._decay = 0.5 ** (1.0 / half_life)
        self._margin = margin
        self.leader = trusted

    @property
    def hit_shares(self) -> NDArray[np.float64]:
        """Share of the lately counted requests each candidate would have served."""
        return self._score / max(self._weight, 1.0)

    def update(self, served: NDArray[np.float64]) -> None:
        """Count one request: how well each candidate would have served it, 1 for a hit."""
        self._score *= self._decay
        self._weight = self._weight * self._decay + 1.0
        self._score += served
        best = int(self._score.argmax())
        lead = self._score[best] - self._score[self.leader]
        if lead > self._margin * self._weight:
            self.leader = best
        elif self._score[0] > self._score[self.leader]:
            self.leader = 0


class ShadowCaches:
    """One make-believe cache a learner: evicts whom that learner places farthest.

    Args:
        learners: The candidates.
        agents: How many agents they know.
        capacity: How many agents fit.
    """

    def __init__(self, learners: list[Learner], agents: int, capacity: int) -> None:
        self._learners = learners
        self._resident = np.zeros((len(learners), agents), np.bool_)
        self._count = np.zeros(len(learners), np.int64)
        self._capacity = max(capacity, 1)

    def request(self, agent: int) -> NDArray[np.float64]:
        """Serve one request the learners have just observed; 1 for those who had it, else 0."""
        hits = self._resident[:, agent].copy()
        for number in np.flatnonzero(~hits):
            resident = self._resident[number]
            if self._count[number] >= self._capacity:
                ahead = self._learners[number].ahead()
                resident[np.where(resident, ahead, -np.inf).argmax()] = False
            else:
                self._count[number] += 1
            resident[agent] = True
        return hits.astype(np.float64)

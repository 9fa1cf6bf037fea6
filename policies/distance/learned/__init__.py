"""Distances where none is reported: several learners watch the requests, the best is used."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.learned.cyclic import Cyclic
from scalesim.policies.distance.learned.frequency import Frequency
from scalesim.policies.distance.learned.interarrival import InterArrival
from scalesim.policies.distance.learned.learner import Ahead, Learner
from scalesim.policies.distance.learned.recency import Recency
from scalesim.policies.distance.learned.shadow_scoring import Scoreboard, ShadowCaches
from scalesim.policies.distance.learned.transition import Transition
from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances

LEARNERS = {
    "recency": Recency,
    "frequency": Frequency,
    "interarrival": InterArrival,
    "cyclic": Cyclic,
    "transition": Transition,
}
"""Names of learners; recency comes first, it is the floor."""

__all__ = ["LEARNERS", "Ahead", "Learned", "Learner"]


class Learned:
    """Distances learned from requests, by whichever learner has lately been best.

    Every learner sees every request. Shadow caches over a sample of agents score them: a sample of
    one in k with a cache of one k-th behaves like the whole (Waldspurger et al., SHARDS, FAST
    2015), so the cost a request is bounded. The answer is given in steps, by the requests a step
    seen so far.

    Args:
        agents: How many.
        capacity: How many agents' states fit on the device.
        sample: Most agents to score with.
    """

    def __init__(self, agents: int, capacity: int, sample: int = 1024) -> None:
        self.learners: dict[str, Learner] = {name: make(agents) for name, make in LEARNERS.items()}
        self._stride = -(-agents // sample)
        self._caches = ShadowCaches(
            list(self.learners.values()), agents, round(capacity / self._stride)
        )
        self._scores = Scoreboard(len(self.learners))
        self._requests_per_step = 1.0
        self._step = 0.0
        self._in_step = 0

    @property
    def leader(self) -> str:
        """Name of the learner believed now."""
        return list(self.learners)[self._scores.leader]

    @property
    def hit_shares(self) -> dict[str, float]:
        """Share of recent requests each learner would have served from the device."""
        return dict(zip(self.learners, self._scores.hit_shares.tolist(), strict=True))

    def observe(self, agents: Rows, now: float = 0.0) -> None:
        """Note requests made in step `now`, in order."""
        if now > self._step:
            seen = self._in_step / (now - self._step)
            self._requests_per_step += 0.2 * (max(seen, 1e-3) - self._requests_per_step)
            self._step, self._in_step = now, 0
        self._in_step += len(agents)
        scored = np.flatnonzero(agents % self._stride == 0)
        for part in np.split(agents, scored + 1):
            for learner in self.learners.values():
                learner.observe(part)
            if len(part) and part[-1] % self._stride == 0:
                self._scores.update(self._caches.request(int(part[-1])))

    def ahead(self) -> Ahead:
        """Return the leader's prediction, in requests."""
        return self.learners[self.leader].ahead()

    def distances(self, now: float) -> Distances:
        """Return the leader's prediction in steps; the learner's own clock stands for `now`."""
        return (self.ahead() / self._requests_per_step).astype(np.float32)

"""The rule of causal stepping as it reads, all agents against all others; and a world to try it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.policies.stepping import Causal, Conductor, Dependencies, Space
from scalesim.policies.stepping.conductor import Positions, Steps


@dataclass(frozen=True)
class Setting:
    """A world of agents that move and look at each other, drawn from a seed."""

    agents: int
    end: int
    reach: float
    speed: float
    width: float
    crowd: float
    sleepy: float
    seen: int
    parents: int
    lead: int
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def first(self) -> Steps:
        late = self.rng.random(self.agents) < self.sleepy
        return np.where(late, self.rng.integers(0, self.end + 1, self.agents), 0)

    def position(self) -> Positions:
        places = self.rng.uniform(-self.crowd, self.crowd, (self.agents, 2))
        places[self.rng.random(self.agents) < 0.1] = np.nan
        return places

    def pairs(self) -> tuple[Rows, Rows]:
        rng = self.rng
        seen = rng.integers(0, self.agents, (self.seen, 2))
        parents = np.sort(rng.integers(0, self.agents, (self.parents, 2)), axis=1)
        return seen[seen[:, 0] != seen[:, 1]], parents[parents[:, 0] != parents[:, 1]]

    def turn(self, row: int, step: int, place: Positions) -> tuple[int, Positions]:
        """Return when an agent acts next, and where it is then: of itself and the step alone."""
        rng = np.random.default_rng([self.seed, row, step])
        gap = 1 + int(rng.geometric(0.5)) * (rng.random() < self.sleepy)
        angle, length = rng.uniform(0, 2 * np.pi), self.speed * rng.choice([0.0, 0.5, 1.0])
        return step + gap, place + length * np.array([np.cos(angle), np.sin(angle)])

    def conductor(self) -> Causal:
        space = Space(self.position(), self.first(), self.width)
        depends = Dependencies.make(self.agents, *self.pairs())
        return Causal(
            self.first(),
            self.end,
            space=space,
            reach=self.reach,
            speed=self.speed,
            depends=depends,
            lead=self.lead,
        )


class Rule:
    """What may begin, by looking at everyone."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.step = setting.first()
        self.place = setting.position()
        self.seen, self.parents = setting.pairs()

    def may(self, a: int) -> bool:
        s, t = self.setting, self.step[a]
        if t >= s.end or t > self.step.min() + s.lead:
            return False
        for b in range(s.agents):
            far = np.linalg.norm(self.place[a] - self.place[b])
            if self.step[b] < t and far <= s.reach + s.speed * (t - self.step[b]) + 1e-9:
                return False
        waits = [self.step[b] < t for b, c in self.seen if c == a]
        return not any(waits + [self.step[b] <= t for b, c in self.parents if c == a])

    def all_ready(self) -> set[int]:
        return {a for a in range(self.setting.agents) if self.may(a)}


def play(setting: Setting, conductor: Conductor, rule: Rule) -> Iterator[tuple[set[int], set[int]]]:
    """Yield who is out by the conductor and who may be by the rule, turn after turn, in an order
    of ends that is drawn."""
    rng = np.random.default_rng([setting.seed, 1])
    out = set(conductor.begin().tolist())
    while True:
        yield out, rule.all_ready()
        if not out:
            return
        ended = rng.permutation(sorted(out))[: rng.integers(1, min(4, len(out)) + 1)]
        turns = [setting.turn(a, int(rule.step[a]), rule.place[a]) for a in ended.tolist()]
        steps, places = np.array([t for t, _ in turns]), np.array([p for _, p in turns])
        rule.step[ended], rule.place[ended] = steps, places
        ready = conductor.done(ended, steps, places).tolist()
        out -= set(ended.tolist())
        assert not out & set(ready)
        assert len(set(ready)) == len(ready)
        out |= set(ready)

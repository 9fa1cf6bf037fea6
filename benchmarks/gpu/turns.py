"""What may happen at once, drawn at random: turns of commands and requests, as data.

Who plays them is another matter: `interleaving` on a started engine, `benchmarks.engine` pass by
pass over a device on a virtual clock. The same seed draws the same turns.
"""

from __future__ import annotations

import random
from math import inf
from typing import NamedTuple

from benchmarks.gpu.prompts import Prompts
from scalesim.vocabulary import Tier, Verb

IN_FLIGHT = 8
"""Requests that go on while the next turn begins, at most."""

_PAUSE = (0, 0, 1, 2, 3, 6, 12)
"""Passes between two commands of a turn: none, a few, as many as a copy takes."""


class AskTurn(NamedTuple):
    """A request of an agent.

    Attributes:
        agent: Whose.
        view: Which of its prompts.
        known: Whether the request names its agent.
    """

    agent: int
    view: int
    known: bool = True


class Move(NamedTuple):
    """One verb for some agents, in their order."""

    verb: Verb
    agents: tuple[int, ...]
    tier: Tier = Tier.DEVICE


class Push(NamedTuple):
    """Distances by agent."""

    distances: tuple[tuple[int, float], ...]


class Pause(NamedTuple):
    """Passes in which nothing new comes."""

    passes: int


class TakeBack(NamedTuple):
    """Aborts so many of the newest requests."""

    requests: int


class Flush(NamedTuple):
    """Waits for the requests and empties the cache, whatever is on its way."""


TurnPart = AskTurn | Move | Push | Pause | TakeBack | Flush


class Turn(NamedTuple):
    """Some steps.

    Attributes:
        name: What is tried.
        steps: In order.
        calm: Requests that may go on when the next turn begins.
    """

    name: str
    steps: tuple[TurnPart, ...]
    calm: int


class Turns:
    """Draws turns.

    Args:
        prompts: Whose.
        rng: Draws everything.
        stored: There is a storage tier.
    """

    def __init__(self, prompts: Prompts, rng: random.Random, *, stored: bool = False) -> None:
        self._prompts = prompts
        self._rng = rng
        self._stored = stored
        self._kinds = {
            "a request overtakes a fetch": (4, self._overtake),
            "a relative overtakes a fetch": (6, self._relative),
            "evicted while it loads": (3, self._evict_loading),
            "load slots exhausted": (3, self._exhaust),
            "more requests than fit": (4, self._overfill),
            "moved while it is backed up": (4, self._backed_up),
            "pinned, dropped, forgotten": (2, self._upset),
            "taken back": (3, self._take_back),
            "flushed": (1, self._flush),
        } | ({"through storage": (5, self._through_storage)} if stored else {})

    def draw(self, count: int) -> list[Turn]:
        """Return so many turns."""
        weights = [weight for weight, _ in self._kinds.values()]
        names = self._rng.choices(list(self._kinds), weights, k=count)
        return [
            Turn(name, tuple(self._kinds[name][1]()), self._rng.randint(0, IN_FLIGHT))
            for name in names
        ]

    def _overtake(self) -> list[TurnPart]:
        agents = self._some(2)
        demoted = [*self._demote(agents), self._pause()]
        return [*demoted, *self._fetch(agents), self._pause(), *self._ask(agents)]

    def _relative(self) -> list[TurnPart]:
        agent = self._one()
        relatives = self._prompts.relatives(agent) or (self._one(),)
        steps = [*self._demote((agent, *relatives)), self._pause(), *self._fetch((agent,))]
        asked = self._rng.sample(relatives, min(len(relatives), self._rng.randint(1, 3)))
        return [*steps, self._pause(), *self._ask(asked), self._pause(), *self._ask((agent,))]

    def _evict_loading(self) -> list[TurnPart]:
        agents = self._some(3)
        verb = self._rng.choice([Verb.DEMOTE, Verb.DEMOTE, Verb.DROP])
        moved = [Move(verb, agents[:2], Tier.HOST)]
        steps = [*self._fetch(agents), self._pause(), *moved]
        return [*steps, *self._ask((*self._some(1), *agents[:1]))]

    def _exhaust(self) -> list[TurnPart]:
        agents = self._some(self._prompts.agents // 2)
        steps: list[TurnPart] = [*self._demote(agents), self._pause()]
        for agent in agents:
            steps += [*self._fetch((agent,)), Pause(self._rng.randint(0, 2))]
        return [*steps, *self._ask((*agents[:2], *self._some(2)))]

    def _overfill(self) -> list[TurnPart]:
        steps: list[TurnPart] = [self._push(self._some(4)), *self._ask(self._some(6))]
        return [*steps, self._pause(), *self._ask(self._some(4))]

    def _backed_up(self) -> list[TurnPart]:
        agents = self._some(2)
        verb = self._rng.choice([Verb.DEMOTE, Verb.DROP])
        steps: list[TurnPart] = [*self._ask(agents), self._pause(), Move(verb, agents, Tier.HOST)]
        return [*steps, self._pause(), *self._demote(agents), *self._ask(self._some(2))]

    def _upset(self) -> list[TurnPart]:
        verb = self._rng.choice([Verb.PIN, Verb.UNPIN, Verb.UNPIN, Verb.DROP])
        steps: list[TurnPart] = [Move(verb, self._some(2)), self._push(self._some(4))]
        return [*steps, *self._ask(self._some(1))]

    def _take_back(self) -> list[TurnPart]:
        agents = self._some(4)
        steps: list[TurnPart] = [*self._fetch(agents[:2]), *self._ask(agents), self._pause()]
        return [*steps, TakeBack(self._rng.randint(1, 3)), *self._ask(agents[:1])]

    def _flush(self) -> list[TurnPart]:
        agents = self._some(3)
        return [*self._ask(agents), *self._demote(agents), *self._fetch(agents), Flush()]

    def _through_storage(self) -> list[TurnPart]:
        agents = self._some(2)
        steps: list[TurnPart] = [self._push(agents, inf), Move(Verb.DEMOTE, agents, Tier.STORAGE)]
        if self._rng.random() < 0.5:
            steps += [
                self._pause(),
                self._push(agents, 0.0),
                Move(Verb.PREFETCH, agents, Tier.HOST),
            ]
        steps += [self._pause(), *self._fetch(agents)]
        if self._rng.random() < 0.3:
            steps += [self._pause(), Move(Verb.DROP, agents[:1])]
        return [*steps, self._pause(), *self._ask(agents)]

    def _fetch(self, agents: tuple[int, ...]) -> list[TurnPart]:
        others = [(who, self._rng.choice([5.0, 50.0, inf])) for who in range(self._prompts.agents)]
        distances = dict(others) | dict.fromkeys(agents, 0.0)
        return [Push(tuple(distances.items())), Move(Verb.PREFETCH, agents)]

    def _demote(self, agents: tuple[int, ...]) -> list[TurnPart]:
        return [self._push(agents, inf), Move(Verb.DEMOTE, agents, Tier.HOST)]

    def _push(self, agents: tuple[int, ...], distance: float | None = None) -> Push:
        choices = [0.0, 1.0, 1e9, inf] if distance is None else [distance]
        return Push(tuple((agent, self._rng.choice(choices)) for agent in agents))

    def _ask(self, agents: tuple[int, ...] | list[int]) -> list[TurnPart]:
        views = range(self._prompts.views)
        return [
            AskTurn(agent, self._rng.choice(views), self._rng.random() < 0.9) for agent in agents
        ]

    def _pause(self) -> Pause:
        return Pause(self._rng.choice(_PAUSE))

    def _one(self) -> int:
        return self._rng.randrange(self._prompts.agents)

    def _some(self, most: int) -> tuple[int, ...]:
        count = self._rng.randint(1, max(1, min(most, self._prompts.agents)))
        return tuple(self._rng.sample(range(self._prompts.agents), count))

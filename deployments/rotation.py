"""Which replicas requests go to, and which requests are in them, as one process knows it.

The router beside the ingress notes what it sends; the ingress takes out replicas that lost their
engine or fell silent, and moves what waits for those.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from scalesim.deployments.calls import Call

SILENT_S = 15.0
"""A replica whose process does not answer for this long is out: several times what a busy machine
was seen to keep one from answering."""

ASK_PERIOD_S = 2.0
"""Time between two questions to a replica: a silent one is out after this and `SILENT_S`, 17 s."""

_AGAIN_S = 0.1
"""Time between two questions to a replica that vanished."""

_LEFT = 256
"""Replicas remembered that left: a request is in one for half a minute at most after that."""

_logger = logging.getLogger(__name__)


class Attempt:
    """One try of a call: at one replica, or on its way to one.

    Attributes:
        call: The call, numbered.
        response: What Serve's handle returned.
        replica: Where it went last; empty before.
        deadline: When to stop waiting for its begin; None once it has begun.
        moved: Whether its replica fell silent and it was ended for that.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.response: Any = None
        self.replica = ""
        self.deadline: asyncio.Timeout | None = None
        self.moved = False
        self._sent: list[Any] = []

    def sent(self, replica: str, result: Any) -> None:
        """Note the replica that it goes to, and what its answer arrives through."""
        self.replica = replica
        self._sent.append(result)

    def cancel(self) -> None:
        """End it wherever it went.

        Serve's own handle does not, between the moment a replica is chosen and the moment the
        answer is waited for.
        """
        if self.response is not None:
            self.response.cancel()
        for result in self._sent:
            result.cancel()

    def move(self) -> None:
        """Stop waiting for it; what has begun is ended, as it cannot go on elsewhere."""
        self.moved = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time())
        else:
            self.cancel()


class Rotation:
    """Replicas by name, and the tries that are in them.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._attempts: dict[int, Attempt] = {}
        self._replicas: dict[str, Any] = {}
        self._lost: set[str] = set()
        self._silent: set[str] = set()
        self._heard_at: dict[str, float] = {}
        self._left: deque[str] = deque(maxlen=_LEFT)
        self._questions: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return how many replicas are in rotation."""
        return len(self.usable(self._replicas))

    def begin(self, call: Call) -> Attempt:
        """Return a new try of a call, to be ended with `end`."""
        number = next(self._numbers)
        attempt = self._attempts[number] = Attempt(call._replace(number=number))
        return attempt

    def end(self, attempt: Attempt) -> None:
        """Forget a try; safe to call twice."""
        self._attempts.pop(attempt.call.number, None)

    def is_open(self, attempt: Attempt) -> bool:
        """Return whether a try has not been ended."""
        return attempt.call.number in self._attempts

    def sent(self, call: Call, replica: str, result: Any) -> None:
        """Note that a try goes to a replica; called by the router."""
        attempt = self._attempts.get(call.number)
        if attempt is not None:
            attempt.sent(replica, result)

    def running(self, replicas: Mapping[str, Any]) -> None:
        """Take over which replicas there are; called by the router."""
        now = self._clock()
        self._left.extend(
            name for name in self._replicas.keys() - replicas.keys() if self._is_well(name, now)
        )
        self._heard_at = {name: self._heard_at.get(name, now) for name in replicas}
        self._replicas = dict(replicas)
        self._lost &= self._replicas.keys()
        self._silent &= self._replicas.keys()
        for name in self._questions.keys() - self._replicas.keys():
            self._questions.pop(name).cancel()  # who waits for what became of it knows now

    def left(self, replica: str) -> bool:
        """Return whether a replica was taken out while it was well: nothing in it is why.

        Serve takes one out that is to go, as fewer are wanted or others take its place, before it
        has it answer what is in it; one that crashed or hangs it takes out once that has shown.
        """
        return replica in self._left

    async def died(self, names: Iterable[str]) -> set[str]:
        """Return which of some replicas that vanished are dead, once that is known of all.

        Those that answer were only cut off, and those that left are not dead; Serve takes out the
        others, or they do not answer for `SILENT_S`.
        """
        asked = list(names)
        dead = await asyncio.gather(*map(self._died, asked))
        return {name for name, is_dead in zip(asked, dead, strict=True) if is_dead}

    def usable(self, names: Iterable[str]) -> list[str]:
        """Return those that are in rotation."""
        return [name for name in names if name not in self._lost and name not in self._silent]

    def lose(self, replica: str) -> None:
        """Take out a replica that is known to be lost; Serve starts another under another name."""
        if replica in self._replicas:
            self._lost.add(replica)

    def doubt(self, replica: str) -> None:
        """Take an unreachable replica out of rotation, and probe it until it answers.

        Serve would send to one that was killed until it has noticed, for seconds.
        """
        if replica in self._replicas:
            self._silent.add(replica)
            self._question(replica)

    def silent(self, replica: str) -> None:
        """Take out a replica until it answers again, and move what is in it."""
        if replica not in self._silent:
            _logger.warning("%s does not answer: out of rotation", replica)
        self._silent.add(replica)
        for attempt in list(self._attempts.values()):
            if attempt.replica == replica and not attempt.moved:
                attempt.move()

    async def ask(self) -> None:
        """Ask the process of every replica whether it is there: one round of a loop."""
        for name in self._replicas:
            self._question(name)
        await asyncio.sleep(ASK_PERIOD_S)

    def _question(self, name: str) -> None:
        if name not in self._questions or self._questions[name].done():
            question = self._ask(name, self._replicas[name])
            self._questions[name] = asyncio.create_task(question)

    async def _ask(self, name: str, replica: Any) -> None:
        try:
            async with asyncio.timeout(SILENT_S):
                await replica.get_queue_len(deadline_s=SILENT_S)
        except Exception:
            self.silent(name)
        else:
            self._silent.discard(name)
            if name in self._heard_at:
                self._heard_at[name] = self._clock()

    async def _died(self, name: str) -> bool:
        if (before := self._questions.get(name)) is not None:
            await asyncio.wait([before])  # asked before it vanished, perhaps
        deadline = self._clock() + SILENT_S
        while name in self._replicas and self._clock() < deadline:
            self._question(name)
            await asyncio.wait([self._questions[name]])
            if name in self._replicas and name not in self._silent:
                return False
            await asyncio.sleep(_AGAIN_S)
        return not self.left(name)

    def _is_well(self, name: str, now: float) -> bool:
        """Return whether a replica is in rotation and too lately heard of to hang.

        Serve takes out one that hangs after 18 s, a little later than it is silent here, or not.
        """
        return bool(self.usable([name])) and now - self._heard_at[name] < SILENT_S


ROTATION = Rotation()
"""This process's own: the router notes in it what the ingress asks for."""

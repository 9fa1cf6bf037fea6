"""Which requests may have killed an engine, and whether a lost one is tried again.

An engine that crashes or hangs by itself may do it because of a request. Such a request costs one
engine where it is known, and is refused from then on; where it was one of several that may have
been the cause, each is tried once more, one at a time, so that the second loss shows which it is.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from scalesim.deployments.calls import Call
from scalesim.errors import ReplicaUnavailableError, SuspectRequestError

KEEP_S = 1800.0
"""How long a suspect is remembered: its sender may learn of it within a working session."""

MOST = 4096
"""Requests remembered, under 1 MB; the longest ago is forgotten first."""

_IRRELEVANT = ("stream", "stream_options", "user")
"""Fields that change nothing of what an engine computes."""


class Suspicion(Enum):
    """Why a request that was lost with its engine may be to blame, or may not."""

    INNOCENT = "innocent"
    """The engine was ended from outside, or another request is the cause."""
    POSSIBLE = "possible"
    """It is one of several that may be the cause."""
    CAUSE = "cause"
    """No other request can be the cause."""
    UNKNOWN = "unknown"
    """The whole replica vanished without an error: it died, as far as is known from outside, was
    cut off, or left."""


class RetryDecision(Enum):
    """What becomes of a lost request."""

    RETRY = "retry"
    RETRY_ALONE = "retry alone"
    """Only while no other request under suspicion is tried."""
    REFUSE = "refuse"


class EngineLostError(ReplicaUnavailableError):
    """A replica lost its engine with this call in it, or before it got there.

    Args:
        message: What happened.
        verdict: What is known of this call.
    """

    code = "engine_lost"

    def __init__(self, message: str, verdict: Suspicion) -> None:
        super().__init__(message)
        self.verdict = verdict

    def __reduce__(self) -> tuple[type, tuple[str, Suspicion]]:
        """Keep the verdict when Ray carries the error between processes."""
        return type(self), (str(self), self.verdict)


class Loss(NamedTuple):
    """A lost request, as processes of the ingress report it to each other.

    Attributes:
        key: Digest of the request.
        verdict: What is known of it; innocent is one that was answered since.
        replica: What it was lost with.
        age_s: Seconds since then.
    """

    key: bytes
    verdict: Suspicion
    replica: str
    age_s: float = 0.0


@dataclass(slots=True)
class _Record:
    seen: float
    possible: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    refused: bool = False


class Suspects:
    """What is remembered of requests that were lost, by their digest; other processes hear of it.

    Args:
        keep_s: Seconds after which a request is forgotten.
        most: Requests remembered.
        clock: Returns monotonic seconds.
        tell: Called with every loss that others have to know of.
    """

    def __init__(
        self,
        keep_s: float = KEEP_S,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[Loss], None] = lambda _: None,
    ) -> None:
        self._keep_s = keep_s
        self._most = most
        self._clock = clock
        self._tell = tell
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def __len__(self) -> int:
        """Return how many requests are remembered."""
        return len(self._records)

    def check(self, call: Call) -> None:
        """Refuse a call that is a suspect; costs nothing while none is remembered.

        Raises:
            SuspectRequestError: An engine died of it.
        """
        self._forget()
        if self._records:
            record = self._records.get(digest(call))
            if record is not None and record.refused:
                raise self._error(record)

    def lost(self, call: Call, verdict: Suspicion, replica: str) -> RetryDecision:
        """Take over that a call was lost with a replica; return what becomes of it."""
        if verdict is Suspicion.INNOCENT:
            return RetryDecision.RETRY
        loss = Loss(digest(call), verdict, replica)
        record = self._note(loss)
        self._tell(loss)
        if record.refused:
            return RetryDecision.REFUSE
        return RetryDecision.RETRY_ALONE if verdict is Suspicion.POSSIBLE else RetryDecision.RETRY

    def vanished(self, call: Call) -> frozenset[str]:
        """Return the replicas that a call was lost with which vanished without an error."""
        record = self._records.get(digest(call)) if self._records else None
        return frozenset(record.unknown if record is not None else ())

    def clear(self, call: Call, replicas: Iterable[str]) -> None:
        """Forget that a call was lost with these replicas: they are there again, or left."""
        if (record := self._records.get(digest(call))) is not None:
            record.unknown.difference_update(replicas)

    def answered(self, call: Call) -> None:
        """Forget what was lost with a call that an engine has now answered to its end.

        Else two losses within `KEEP_S`, from outside and of the same prompt asked over and over,
        would be held against it. What is refused stays so.
        """
        if not self._records:
            return
        loss = Loss(digest(call), Suspicion.INNOCENT, "")
        record = self._records.get(loss.key)
        if record is not None and not record.refused:
            self.learn([loss])
            self._tell(loss)

    def learn(self, losses: Iterable[Loss]) -> None:
        """Take over what another process of the ingress found."""
        for loss in losses:
            if loss.verdict is Suspicion.INNOCENT:
                self._records.pop(loss.key, None)
            else:
                self._note(loss)

    def known(self) -> list[Loss]:
        """Return all that is remembered, oldest first."""
        now, losses = self._clock(), []
        for key, record in self._records.items():
            age_s = now - record.seen
            losses += [Loss(key, Suspicion.POSSIBLE, name, age_s) for name in record.possible]
            losses += [Loss(key, Suspicion.UNKNOWN, name, age_s) for name in record.unknown]
            if record.refused:
                losses.append(Loss(key, Suspicion.CAUSE, "", age_s))
        return losses

    def error(self, call: Call) -> SuspectRequestError:
        """Return the error for the sender of a refused call."""
        return self._error(self._record(digest(call)))

    def _note(self, loss: Loss) -> _Record:
        record = self._record(loss.key, loss.age_s)
        match loss.verdict:
            case Suspicion.CAUSE:
                record.refused = True
            case Suspicion.POSSIBLE:
                record.possible.add(loss.replica)
                record.refused |= len(record.possible) > 1
            case Suspicion.UNKNOWN:  # the replica may have been cut off only: see `vanished`
                record.unknown.add(loss.replica)
        return record

    def _record(self, key: bytes, age_s: float = 0.0) -> _Record:
        seen = self._clock() - age_s
        record = self._records.pop(key, None) or _Record(seen)
        record.seen = max(seen, record.seen)
        self._records[key] = record
        if len(self._records) > self._most:
            self._records.popitem(last=False)
        return record

    def _forget(self) -> None:
        """Drop what is too old; the oldest come first."""
        oldest = self._clock() - self._keep_s
        while self._records and next(iter(self._records.values())).seen < oldest:
            self._records.popitem(last=False)

    def _error(self, record: _Record) -> SuspectRequestError:
        left_s = max(0.0, record.seen + self._keep_s - self._clock())
        return SuspectRequestError(
            "an engine was lost while it worked on this request, and no other request explains it: "
            "it is not tried on another engine; change the request, or send it again in "
            f"{left_s / 60:.0f} minutes"
        )


def judge(
    by_request: bool, named: Collection[str], inside: Sequence[tuple[Call, Collection[str]]]
) -> list[Suspicion]:
    """Return a suspicion for each call that was lost with an engine.

    Args:
        by_request: Whether a request may be the cause.
        named: Ids of the engine's requests one of which is the cause; empty where not known.
        inside: The calls in the engine, and the ids it knew each by; an id of none of them belongs
            to a call of several choices, whose ids are the engine's own.
    """
    if not by_request:
        return [Suspicion.INNOCENT] * len(inside)
    known = {rid for _, rids in inside for rid in rids}
    strange = any(rid not in known for rid in named)
    may = [
        any(rid in named for rid in rids) or (strange and _has_choices(call))
        for call, rids in inside
    ]
    digests = [digest(call) for call, _ in inside]
    blamed = {one for one, candidate in zip(digests, may, strict=True) if candidate} or {*digests}
    verdict = Suspicion.CAUSE if len(blamed) == 1 else Suspicion.POSSIBLE
    return [verdict if one in blamed else Suspicion.INNOCENT for one in digests]


def _has_choices(call: Call) -> bool:
    return call.body.get("n") not in (None, 1)


def digest(call: Call) -> bytes:
    """Return what identifies a request to an engine: equal for equal work, of any client."""
    body = {name: value for name, value in call.body.items() if name not in _IRRELEVANT}
    try:
        encoded = msgspec.json.encode((call.endpoint, body), order="sorted")
    except (TypeError, ValueError, OverflowError, RecursionError):
        encoded = repr((call.endpoint, body)).encode()
    return blake2b(encoded, digest_size=16).digest()

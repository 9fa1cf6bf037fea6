"""Carries out directives inside the scheduler process, a bounded share on every pass.

Everything here is a function of the commands received, in order, so that tensor-parallel ranks
that see the same commands do the same; only rank 0 speaks to the replica.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import NamedTuple

from scalesim.deployments.engine.messages import Hello, Message, decode
from scalesim.deployments.engine.payloads.interfaces import Payload
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.errors import InvalidRequestError
from scalesim.vocabulary import Directives, DistanceUpdate, Moves, Tier, TransferStats, Verb

WORK_A_PASS_US = 1000.0
"""Most that moves and rows taken over may cost between two forward passes, by the costs below; the
rest waits for the next. Counted, not timed: every rank does the same in the same pass."""

LEAVE_US, LIFT_US, LOOK_US, ROW_US = 60.0, 200.0, 10.0, 0.05
"""What a move to a colder tier, one to a hotter tier, one that was not needed or not possible, and
a row of a directive cost, measured (`benchmarks/engine/passes.py`)."""

ROWS_A_PASS = 8192
"""Distances taken over between two passes, as arrays."""

MOVE_ROWS = 16
"""Distances for which one move counts there: moves are taken over one by one."""

PASSES_A_BACKLOG = 32
"""A long backlog is taken over in about this many passes, each a larger share of it."""


ORDERED = 1024
"""Moves to hotter tiers that are put in order at once, half a millisecond; those behind wait."""


class PendingMove(NamedTuple):
    """What is to be done with an agent's payload."""

    verb: Verb
    tier: Tier


_ONLY_LOOKED = (MoveOutcome.ALREADY, MoveOutcome.REFUSED)

_MOVES = {(verb.value, tier.value): PendingMove(verb, tier) for verb in Verb for tier in Tier}


class _Step(NamedTuple):
    """A piece of a message, and how many distances it counts for."""

    rows: int
    take: Callable[[], None]


class DirectiveExecutor:
    """Owns pending moves and the payloads they act on.

    Args:
        payloads: Kinds by name.
        send: Sends to the replica; returns False when it cannot now. None on other ranks.
    """

    def __init__(
        self, payloads: Mapping[str, Payload], send: Callable[[Message], bool] | None = None
    ) -> None:
        self._payloads = payloads
        self._send = send
        self._incarnation = 0
        self._leaves: dict[str, dict[int, PendingMove]] = {kind: {} for kind in payloads}
        self._lifts: dict[str, dict[int, PendingMove]] = {kind: {} for kind in payloads}
        self._nearest: dict[str, list[int]] = {kind: [] for kind in payloads}
        self._inbox: deque[_Step] = deque()
        self._inbox_rows = 0
        self._share: int | None = None
        self._taken = 0
        self._unsent: list[Message] = []
        self._sent: dict[str, TransferStats] = {}

    def hello(self, bytes_per_token: int) -> None:
        """Tell the replica that the self-check passed and what there is to manage."""
        budgets = tuple(payload.budgets() for payload in self._payloads.values())
        self._unsent.append(Hello(tuple(self._payloads), budgets, bytes_per_token))

    def accept(self, frames: Iterable[bytes]) -> None:
        """Queue directives; ignores broken frames and directives of an older controller.

        A pass takes a share of what came, in the order in which it came; `work` takes the rest of
        the share, and the next passes what is left.
        """
        for frame in frames:
            try:
                message = decode(frame)
            except InvalidRequestError:
                continue
            if isinstance(message, Directives) and message.incarnation >= self._incarnation:
                self._incarnation = message.incarnation
                for step in self._steps(message):
                    self._inbox.append(step)
                    self._inbox_rows += step.rows
        self._take_share()

    def work(self) -> bool:
        """Try pending moves, publish what changed; return whether another pass is wanted soon."""
        self._take_share()
        self._share, left_us = None, WORK_A_PASS_US - self._taken * ROW_US
        self._taken = 0
        if self._moves_wait():
            self._settle()  # what is in use now, not what was a pass ago
            kinds = [kind for kind in self._payloads if self._leaves[kind] or self._lifts[kind]]
            for done, kind in enumerate(kinds):
                left_us -= self._move(kind, left_us / (len(kinds) - done))
        in_flight = self._settle()
        sent = self._send is not None and self._publish(self._send)
        return bool(self._inbox) or self._moves_wait() or in_flight or sent

    def _move(self, kind: str, most_us: float) -> float:
        """Try moves of one kind that wait, one each way at the least; return what they cost.

        Room first, which what is lifted needs: for half the cost where something waits to be
        lifted. The nearest is lifted first.
        """
        payload, leaves, lifts = self._payloads[kind], self._leaves[kind], self._lifts[kind]
        room_us, spent_us = most_us / 2 if lifts else most_us, 0.0
        for key in _some(leaves, room_us, LOOK_US):
            if spent_us and spent_us + LEAVE_US > room_us:
                break
            move = leaves.pop(key)
            outcome = _try(payload, key, move)
            if outcome is MoveOutcome.BUSY:
                leaves[key] = move  # a copy that is still written is seen later
            spent_us += LOOK_US if outcome in _ONLY_LOOKED else LEAVE_US
        for key in _some(self._lifts_in_order(kind), most_us - spent_us, LIFT_US):
            if _try(payload, key, lifts[key]) is not MoveOutcome.BUSY:
                del lifts[key]
                spent_us += LIFT_US
        return spent_us

    def _lifts_in_order(self, kind: str) -> list[int]:
        """Return what is lifted next, the nearest first; of equals what was asked for first.

        Put in order again once distances or moves came, or none of it is left.
        """
        lifts = self._lifts[kind]
        left = [key for key in self._nearest[kind] if key in lifts]
        self._nearest[kind] = left or sorted(
            islice(lifts, ORDERED), key=self._payloads[kind].distance
        )
        return self._nearest[kind]

    def _moves_wait(self) -> bool:
        return any((*self._leaves.values(), *self._lifts.values()))

    def _settle(self) -> bool:
        return any([payload.settle() for payload in self._payloads.values()])

    def _take_share(self) -> None:
        """Take over rows until this pass's share is used up; ranks see the same rows."""
        if self._share is None:
            self._share = max(ROWS_A_PASS, self._inbox_rows // PASSES_A_BACKLOG)
        while self._inbox and self._share > 0:
            step = self._inbox.popleft()
            self._share -= step.rows
            self._taken += step.rows
            self._inbox_rows -= step.rows
            step.take()

    def _steps(self, directives: Directives) -> Iterator[_Step]:
        """Cut a message into pieces that are taken over in this order."""
        if directives.resync:
            yield _Step(1, self._resync)
        for near in directives.distance_updates:
            if near.kind in self._payloads:
                for piece in _pieces(len(near.keys), ROWS_A_PASS):
                    yield _Step(piece.stop - piece.start, partial(self._push, near, piece))
        for moves in directives.moves:
            if moves.kind in self._payloads:
                for piece in _pieces(len(moves.keys), ROWS_A_PASS // MOVE_ROWS):
                    columns = (moves.verbs[piece], moves.keys[piece], moves.tiers[piece])
                    cut = Moves(moves.kind, *columns)
                    yield _Step(MOVE_ROWS * len(cut.keys), partial(self._enqueue, cut))

    def _resync(self) -> None:
        for moves_of_kind in (*self._leaves.values(), *self._lifts.values()):
            moves_of_kind.clear()
        for payload in self._payloads.values():
            payload.touch_all()

    def _push(self, near: DistanceUpdate, piece: slice) -> None:
        self._payloads[near.kind].push(near.keys[piece], near.distances[piece])
        self._nearest[near.kind].clear()

    def _enqueue(self, moves: Moves) -> None:
        columns = zip(moves.verbs.tolist(), moves.keys.tolist(), moves.tiers.tolist(), strict=True)
        payload = self._payloads[moves.kind]
        leaves, lifts = self._leaves[moves.kind], self._lifts[moves.kind]
        self._nearest[moves.kind].clear()
        for verb, key, tier in columns:
            if verb == Verb.PIN:
                payload.pin(key)
            elif verb == Verb.UNPIN:
                payload.unpin(key)
            else:
                # A newer move replaces an older one of the same payload, and goes last.
                leaves.pop(key, None)
                lifts.pop(key, None)
                (lifts if verb == Verb.PREFETCH else leaves)[key] = _MOVES[verb, tier]

    def _publish(self, send: Callable[[Message], bool]) -> bool:
        """Return whether rows were sent: there may be more."""
        sent = False
        if not self._unsent:
            for kind, payload in self._payloads.items():
                rows, transfer = payload.changed(), payload.transfer()
                if rows is not None:
                    sent = True
                    self._unsent.append(rows)
                if transfer != self._sent.get(kind):
                    self._unsent.append(transfer)
                    self._sent[kind] = transfer
        while self._unsent and send(self._unsent[0]):
            del self._unsent[0]
        return sent


def _pieces(rows: int, most: int) -> Iterator[slice]:
    for start in range(0, rows, most):
        yield slice(start, min(start + most, rows))


def _some(moves: Iterable[int], most_us: float, each_us: float) -> list[int]:
    return list(islice(moves, max(1, int(most_us / each_us))))


def _try(payload: Payload, key: int, move: PendingMove) -> MoveOutcome:
    if move.verb is Verb.PREFETCH:
        return payload.prefetch(key, move.tier)
    if move.verb is Verb.DEMOTE:
        return payload.demote(key, move.tier)
    return payload.drop(key)

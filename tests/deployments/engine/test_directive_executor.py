from collections import Counter

import numpy as np

from scalesim.deployments.engine.directive_executor import (
    LEAVE_US,
    LIFT_US,
    MOVE_ROWS,
    ORDERED,
    PASSES_A_BACKLOG,
    ROW_US,
    ROWS_A_PASS,
    WORK_A_PASS_US,
    DirectiveExecutor,
)
from scalesim.deployments.engine.messages import Hello, Message, TransferStats, encode
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.vocabulary import Budgets, Directives, DistanceUpdate, Moves, Residency, Tier, Verb
from tests.support.fake_payload import FakePayload


class Wire:
    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.open = True

    def send(self, message: Message) -> bool:
        if self.open:
            self.sent.append(message)
        return self.open


def executor() -> tuple[DirectiveExecutor, FakePayload, Wire]:
    payload, wire = FakePayload(), Wire()
    return DirectiveExecutor({"fake": payload}, wire.send), payload, wire


def directives(*moves: tuple[Verb, int, Tier], incarnation: int = 1, kind: str = "fake") -> bytes:
    verbs, keys, tiers = zip(*moves, strict=True)
    columns = np.array(verbs, np.uint8), np.array(keys, np.int64), np.array(tiers, np.uint8)
    batch = Moves(kind, columns[0], columns[1], columns[2])
    return encode(Directives(incarnation, 1, moves=(batch,)))


def test_every_verb_reaches_its_payload() -> None:
    subject, payload, _ = executor()
    subject.accept(
        [
            directives(
                (Verb.DEMOTE, 1, Tier.HOST),
                (Verb.PREFETCH, 2, Tier.DEVICE),
                (Verb.DROP, 3, Tier.ABSENT),
                (Verb.PIN, 4, Tier.DEVICE),
                (Verb.UNPIN, 5, Tier.DEVICE),
            )
        ]
    )
    assert subject.work() is False
    assert payload.calls == [
        ("pin", 4),
        ("unpin", 5),
        ("demote", 1, Tier.HOST),
        ("drop", 3),
        ("prefetch", 2, Tier.DEVICE),
    ], "what makes room goes first"


def test_a_pin_does_not_replace_the_prefetch_it_comes_with() -> None:
    subject, payload, _ = executor()
    subject.accept(
        [directives((Verb.PREFETCH, 1, Tier.DEVICE)), directives((Verb.PIN, 1, Tier.DEVICE))]
    )
    subject.work()
    assert payload.calls == [("pin", 1), ("prefetch", 1, Tier.DEVICE)]


def test_a_busy_move_is_tried_again_and_others_are_not() -> None:
    subject, payload, _ = executor()
    payload.outcome = MoveOutcome.BUSY
    subject.accept([directives((Verb.PREFETCH, 2, Tier.DEVICE))])
    assert subject.work() is True
    payload.outcome = MoveOutcome.REFUSED
    assert subject.work() is False
    assert subject.work() is False
    assert len(payload.calls) == 2


def test_a_move_is_tried_on_what_is_in_use_now() -> None:
    subject, payload, _ = executor()
    payload.settle = lambda: payload.calls.append(("settle",)) or False  # type: ignore[method-assign]
    subject.accept([directives((Verb.DEMOTE, 1, Tier.HOST))])
    subject.work()
    assert payload.calls == [("settle",), ("demote", 1, Tier.HOST), ("settle",)]


def test_a_newer_directive_replaces_an_older_one() -> None:
    subject, payload, _ = executor()
    payload.outcome = MoveOutcome.BUSY
    subject.accept([directives((Verb.PREFETCH, 2, Tier.DEVICE))])
    subject.work()
    payload.outcome = MoveOutcome.DONE
    subject.accept([directives((Verb.DEMOTE, 2, Tier.HOST))])
    subject.work()
    assert payload.calls[1:] == [("demote", 2, Tier.HOST)]


def test_an_older_controller_is_not_obeyed() -> None:
    subject, payload, _ = executor()
    subject.accept([directives((Verb.PIN, 1, Tier.DEVICE), incarnation=9)])
    subject.accept([directives((Verb.PIN, 2, Tier.DEVICE), incarnation=8)])
    subject.work()
    assert payload.calls == [("pin", 1)]


def test_broken_frames_and_unknown_kinds_are_ignored() -> None:
    subject, payload, _ = executor()
    subject.accept([b"\xff\x00", directives((Verb.PIN, 1, Tier.DEVICE), kind="other")])
    subject.accept([encode(TransferStats("fake"))])
    assert subject.work() is False
    assert payload.calls == []


def test_work_of_one_pass_is_bounded() -> None:
    subject, payload, _ = executor()
    most = int(WORK_A_PASS_US / LEAVE_US)
    demotes = [(Verb.DEMOTE, key, Tier.HOST) for key in range(most + 1)]
    subject.accept([directives(*demotes)])
    assert subject.work() is True
    assert len(payload.calls) == most
    assert subject.work() is False
    assert len(payload.calls) == most + 1


def test_half_of_a_pass_is_for_moves_to_the_device() -> None:
    subject, payload, _ = executor()
    demotes = [(Verb.DEMOTE, key, Tier.HOST) for key in range(100)]
    fetches = [(Verb.PREFETCH, key, Tier.DEVICE) for key in range(100, 200)]
    subject.accept([directives(*demotes, *fetches)])
    subject.work()
    tried = Counter(verb for verb, *_ in payload.calls)
    spent_us = tried["demote"] * LEAVE_US + tried["prefetch"] * LIFT_US
    assert WORK_A_PASS_US * 0.7 < spent_us <= WORK_A_PASS_US
    assert tried["demote"] * LEAVE_US <= WORK_A_PASS_US / 2


def test_moves_go_on_however_many_distances_come() -> None:
    subject, payload, _ = executor()
    moves = (Verb.DEMOTE, 1, Tier.HOST), (Verb.PREFETCH, 2, Tier.DEVICE)
    rows = 2 * PASSES_A_BACKLOG * int(WORK_A_PASS_US / ROW_US)
    subject.accept([directives(*moves), near(range(rows), 1.0)])
    subject.work()
    assert {call[0] for call in payload.calls} == {"push", "demote", "prefetch"}


def test_the_nearest_is_fetched_first_whenever_it_was_asked_for() -> None:
    subject, payload, _ = executor()
    payload.outcome = MoveOutcome.BUSY
    subject.accept([near(range(1, 4), 2.0)])
    subject.accept([directives(*((Verb.PREFETCH, key, Tier.DEVICE) for key in (1, 2, 3)))])
    subject.work()
    subject.accept([near(range(3, 4), 1.0), directives((Verb.PREFETCH, 4, Tier.DEVICE))])
    subject.accept([near(range(4, 5), 0.0)])
    payload.calls.clear()
    payload.outcome = MoveOutcome.DONE
    subject.work()
    assert [key for _, key, *_ in payload.calls] == [4, 3, 1, 2]


def test_a_resync_drops_pending_moves_and_reports_everything() -> None:
    subject, payload, wire = executor()
    payload.outcome = MoveOutcome.BUSY
    subject.accept([directives((Verb.PREFETCH, 2, Tier.DEVICE))])
    subject.accept([encode(Directives(2, 0, resync=True))])
    assert subject.work() is True, "there may be more to tell"
    assert subject.work() is False
    assert payload.calls == [("touch_all",)]
    assert [type(message) for message in wire.sent] == [Residency, TransferStats]


def test_distances_are_pushed_before_moves() -> None:
    subject, payload, _ = executor()
    near = DistanceUpdate("fake", np.array([3], np.int64), np.array([0.5], np.float32))
    subject.accept([encode(Directives(1, 1, distance_updates=(near,)))])
    assert payload.calls == [("push", {3: 0.5})]


def test_news_wait_while_the_replica_does_not_read() -> None:
    subject, payload, wire = executor()
    subject.hello(1024)
    wire.open = False
    payload.touch_all()
    subject.work()
    assert wire.sent == []
    wire.open = True
    subject.work()
    subject.work()
    assert wire.sent[0] == Hello(("fake",), (Budgets(10, 20, 30),), 1024)
    assert [type(message) for message in wire.sent[1:]] == [Residency, TransferStats]


def near(keys: range, distance: float, *, incarnation: int = 1) -> bytes:
    columns = np.array(keys, np.int64), np.full(len(keys), distance, np.float32)
    return encode(Directives(incarnation, 1, distance_updates=(DistanceUpdate("fake", *columns),)))


def test_a_long_message_is_taken_over_in_shares_and_in_order() -> None:
    subject, payload, _ = executor()
    rows = 3 * ROWS_A_PASS
    subject.accept([near(range(rows), 1.0), directives((Verb.PIN, 1, Tier.DEVICE))])
    assert [len(pushed) for _, pushed in payload.calls] == [ROWS_A_PASS]
    subject.accept([near(range(1), 2.0, incarnation=2), near(range(1), 3.0, incarnation=1)])
    passes = 0
    while subject.work():
        passes += 1
    assert passes <= 4
    *pushes, pin, newest = payload.calls
    taken: dict[int, float] = {}
    for _, pushed in pushes:
        taken |= pushed
    assert taken == dict.fromkeys(range(rows), 1.0)
    assert (pin, newest) == (("pin", 1), ("push", {0: 2.0})), "the older controller's is ignored"


def test_moves_are_taken_over_in_smaller_shares_than_distances() -> None:
    subject, payload, _ = executor()
    subject.accept([directives(*((Verb.PIN, key, Tier.DEVICE) for key in range(ROWS_A_PASS)))])
    assert len(payload.calls) == ROWS_A_PASS // MOVE_ROWS
    while subject.work():
        pass
    assert payload.calls == [("pin", key) for key in range(ROWS_A_PASS)]


def test_messages_that_come_faster_than_shares_do_not_pile_up() -> None:
    subject, payload, _ = executor()
    rows = 2 * PASSES_A_BACKLOG * ROWS_A_PASS
    subject.accept([near(range(rows), 1.0)])
    assert sum(len(pushed) for _, pushed in payload.calls) >= rows // PASSES_A_BACKLOG
    for _ in range(10 * PASSES_A_BACKLOG):
        subject.accept([near(range(2 * ROWS_A_PASS), 2.0)])
        subject.work()
        rows += 2 * ROWS_A_PASS
    taken = sum(len(pushed) for _, pushed in payload.calls)
    assert rows - taken <= 3 * PASSES_A_BACKLOG * ROWS_A_PASS


def test_a_long_backlog_is_put_in_order_piece_by_piece() -> None:
    subject, payload, _ = executor()
    payload.outcome = MoveOutcome.BUSY
    last = ORDERED + 1
    subject.accept([near(range(last), 1.0), near(range(last, last + 1), 0.0)])
    subject.accept([directives(*((Verb.PREFETCH, key, Tier.DEVICE) for key in range(last + 1)))])
    for _ in range(4 * PASSES_A_BACKLOG):
        subject.work()
    payload.calls.clear()
    payload.outcome = MoveOutcome.DONE
    while subject.work():
        pass
    fetched = [key for _, key, *_ in payload.calls]
    assert fetched == [*range(ORDERED), last, ORDERED]

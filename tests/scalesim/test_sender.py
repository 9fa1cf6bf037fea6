"""The background thread: coalescing, failing open, healing, ending."""

import threading

import numpy as np
import pytest

from scalesim.errors import ControllerUnavailableError, InvalidRequestError, StaleEpochError
from scalesim.sender import Sender
from scalesim.settings import ClientSettings
from scalesim.transports import MAX_ROWS, Report
from scalesim.vocabulary import ReportAck
from tests.support.fake_transport import FakeTransport

SOON = ClientSettings(flush_interval_s=0.001)
LATE = ClientSettings(flush_interval_s=3600)


def sender(transport: FakeTransport, settings: ClientSettings = LATE) -> Sender:
    return Sender("town", settings, lambda: transport)


def test_hints_wait_for_each_other_and_the_latest_wins() -> None:
    transport = FakeTransport()
    hints = sender(transport)
    hints.report({"a": 5.0})
    hints.report({"a": 2.0, "b": 1.0})
    assert transport.reports == []
    assert hints.flush(5)
    assert [report.ids for report in transport.reports] == [["a", "b"]]
    assert transport.distances == {"a": 2, "b": 1}
    hints.close(5)
    assert transport.closed


def test_a_hint_is_sent_by_itself_after_the_interval() -> None:
    transport = FakeTransport()
    hints = sender(transport, SOON)
    hints.report({"a": 1.0})
    assert transport.arrived.wait(5)
    hints.close(5)


def test_an_urgent_hint_does_not_wait() -> None:
    transport = FakeTransport()
    hints = sender(transport)
    hints.report({"a": 1.0}, urgent=True)
    assert transport.arrived.wait(5)
    hints.close(5)


def test_reports_are_cut_to_the_row_limit() -> None:
    transport = FakeTransport()
    hints = sender(transport)
    hints.report({f"a{i}": float(i) for i in range(MAX_ROWS + 5)})
    assert hints.flush(5)
    assert [len(report.ids) for report in transport.reports] == [MAX_ROWS, 5]
    assert transport.reports[0].distances.dtype == np.float32
    hints.close(5)


def test_while_the_stack_is_away_hints_are_kept_and_the_newest_win() -> None:
    transport = FakeTransport(
        ControllerUnavailableError("away"), ControllerUnavailableError("away")
    )
    hints = sender(transport)
    hints.report({"a": 1.0, "b": 1.0})
    hints.flush(0)
    hints.report({"a": 7.0})
    assert hints.flush(5)
    assert transport.distances == {"a": 7, "b": 1}
    assert hints.stats[:3] == (2, 0, 2)
    hints.close(5)


def test_that_hints_go_nowhere_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    transport = FakeTransport()
    transport.errors = [ControllerUnavailableError("no answer from http://h:8080")] * 3
    hints = sender(transport, SOON)
    with caplog.at_level("INFO", "scalesim.sender"):
        hints.report({"a": 1.0})
        assert hints.flush(30)
    assert [record.getMessage() for record in caplog.records] == [
        "Hints of town do not reach the stack: no answer from http://h:8080",
        "Hints of town reach the stack again",
    ]
    hints.close(5)


def test_what_the_stack_refuses_is_dropped_and_counted() -> None:
    transport = FakeTransport(InvalidRequestError("no such field"))
    hints = sender(transport)
    hints.report({"a": 1.0, "b": 1.0})
    assert hints.flush(5)
    assert hints.stats == (0, 2, 1, "InvalidRequestError: no such field")
    hints.close(5)


def test_a_bug_in_a_transport_does_not_end_the_thread() -> None:
    transport = FakeTransport(ZeroDivisionError())
    hints = sender(transport)
    hints.report({"a": 1.0})
    assert hints.flush(5)
    hints.report({"b": 2.0})
    assert hints.flush(5)
    assert transport.distances == {"b": 2}
    hints.close(5)


def test_a_client_that_is_behind_adopts_the_newer_epoch() -> None:
    transport = FakeTransport(epoch=7)
    hints = sender(transport)
    hints.report({"a": 9.0}, epoch=5)
    assert hints.flush(5)
    assert transport.distances == {"a": 2}
    assert hints.epoch == 7
    hints.close(5)


def test_a_batch_that_a_later_step_overtook_is_sent_again() -> None:
    transport = FakeTransport()
    hints = sender(transport)

    def overtaken(simulation: str, report: Report) -> ReportAck:
        del transport.report  # the next call is the fake's own again
        hints.report({}, epoch=1)
        transport.newest = 1
        raise StaleEpochError("epoch 0 is older than 1")

    transport.report = overtaken  # type: ignore[method-assign]
    hints.report({"a": 3.0})
    assert hints.flush(5)
    assert transport.distances == {"a": 2}
    assert hints.stats.dropped == 0
    hints.close(5)


def test_the_buffer_is_bounded() -> None:
    hints = sender(FakeTransport(), LATE.model_copy(update={"buffer_rows": 2}))
    hints.report({"a": 1.0, "b": 1.0, "c": 1.0})
    hints.change(["d"], "pin")
    assert hints.stats.dropped == 2
    hints.close(5)
    assert hints.stats.sent == 2


def test_closing_a_sender_whose_stack_is_away_returns() -> None:
    def away() -> FakeTransport:
        raise ControllerUnavailableError("away")

    hints = Sender("town", LATE, away)
    hints.report({"a": 1.0})
    hints.close(5)
    assert hints.stats[:3] == (0, 1, 1)
    assert "scalesim-hints" not in {thread.name for thread in threading.enumerate()}


def test_what_comes_after_the_end_is_dropped_and_counted() -> None:
    transport = FakeTransport()
    hints = sender(transport)
    hints.close(5)
    hints.report({"a": 1.0, "b": 1.0})
    hints.close(5)
    assert hints.stats == (0, 2, 0, "closed")
    assert transport.reports == []


def test_a_stack_far_ahead_is_not_followed() -> None:
    transport = FakeTransport(epoch=2**53)
    hints = sender(transport)
    hints.report({"a": 1.0}, epoch=3)
    assert hints.flush(5)
    assert (hints.epoch, hints.stats.dropped) == (3, 1)
    assert hints.end(5)
    hints.report({"a": 5.0}, epoch=4)
    assert hints.flush(5)
    assert (transport.newest, transport.distances) == (4, {"a": 1})
    hints.close(5)


def test_an_end_is_tried_again_and_goes_first() -> None:
    transport = FakeTransport(
        ControllerUnavailableError("away"), ControllerUnavailableError("away"), epoch=7
    )
    hints = sender(transport)
    hints.report({"old": 1.0})
    hints.flush(0)
    assert not hints.end(0)
    hints.report({"new": 1.0}, epoch=1)
    assert hints.flush(5)
    assert (transport.ends, transport.newest) == (1, 1)
    assert list(transport.distances) == ["new"]
    hints.close(5)


def test_an_end_that_is_refused_is_not_done() -> None:
    hints = sender(FakeTransport(InvalidRequestError("no such route")))
    assert not hints.end(5)
    hints.close(5)

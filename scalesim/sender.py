"""The background thread that carries a simulation's hints: it never blocks or fails the caller."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from scalesim.errors import ScaleSimError, StaleEpochError
from scalesim.hint_buffer import Change, HintBatch, HintBuffer
from scalesim.settings import ClientSettings
from scalesim.transports.transport import Transport

_logger = logging.getLogger(__name__)

MAX_CATCH_UP = 2**20
"""Steps: what a sibling client may be ahead. A stack farther ahead has an epoch sent by mistake, or
of another run; following it would repeat the mistake after the simulation was ended."""

_RETRY_FIRST_S, _RETRY_LAST_S = 0.05, 5.0
"""A controller restarts in about a second; a stack that is down is asked every five."""


class Stats(NamedTuple):
    """Counts of hints so far.

    Attributes:
        sent: Rows the stack took.
        dropped: Rows given up: not valid, refused by the stack, or no room while it was away.
        failed: Sends that failed; their rows were sent again where that may help.
        last_error: Message of the latest failure or drop, empty where there was none.
    """

    sent: int = 0
    dropped: int = 0
    failed: int = 0
    last_error: str = ""


class Sender:
    """Sends one simulation's hints from a daemon thread, coalesced.

    Hints are sent together `settings.flush_interval_s` after the first of them, or at once when
    urgent. While the stack is away they are kept, up to `settings.buffer_rows`, and sent again.

    Args:
        simulation: Checked name.
        settings: Intervals and limits.
        connect: Opens the transport; called on the thread, at the first send.
    """

    def __init__(
        self, simulation: str, settings: ClientSettings, connect: Callable[[], Transport]
    ) -> None:
        self.stats = Stats()
        self._simulation = simulation
        self._settings = settings
        self._connect = connect
        self._transport: Transport | None = None
        self._buffer = HintBuffer(settings.buffer_rows)
        self._changed = threading.Condition()
        self._urgent = self._sending = self._closing = self._is_away = False
        self._ended = 0
        self._retry_s = 0.0
        self._thread: threading.Thread | None = None

    @property
    def epoch(self) -> int:
        """Newest step reported, by this client or another one of the simulation."""
        return self._buffer.epoch

    def report(self, due: Mapping[str, float], *, epoch: int = 0, urgent: bool = False) -> None:
        """Queue due steps, and move on to step `epoch` if it is later."""
        with self._changed:
            self._buffer.epoch = max(self._buffer.epoch, epoch)
            self._queued(self._buffer.add_due(due), urgent)

    def change(self, agents: Iterable[str], change: Change) -> None:
        """Queue a change of agents' lives."""
        with self._changed:
            self._queued(self._buffer.change(agents, change), urgent=False)

    def end(self, timeout_s: float) -> bool:
        """Give up what waits and end the simulation; returns whether that was done in time."""
        with self._changed:
            ended = self._ended
            self._buffer.end()
            self._queued(0, urgent=True)
        return self.flush(timeout_s) and self._ended > ended

    def drop(self, rows: int, reason: str) -> None:
        """Count rows that cannot be sent."""
        with self._changed:
            self._count(dropped=rows, error=reason)

    def flush(self, timeout_s: float) -> bool:
        """Send what waits now; returns whether all of it was sent within the timeout."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._buffer and not self._sending, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Send what waits, once more at most, and end the thread; further hints are dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        with self._changed:
            if left := self._buffer.close():
                self._count(dropped=left, error="closed before all hints were sent")

    def _queued(self, refused: int, urgent: bool) -> None:
        if refused:
            why = "closed" if self._closing else f"{self._settings.buffer_rows} hints already wait"
            self._count(dropped=refused, error=why)
        self._urgent |= urgent
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._run, name="scalesim-hints", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            again = self._send(batch)
            with self._changed:
                if again:
                    self._buffer.restore(batch)
                self._sending = False
                self._changed.notify_all()
        self._disconnect()

    def _next_batch(self) -> HintBatch | None:
        """Wait for hints and for the moment to send them; None once closed and empty-handed."""
        with self._changed:
            self._changed.wait_for(lambda: self._buffer or self._closing)
            if self._retry_s:
                self._changed.wait_for(lambda: self._closing, self._retry_s)
            else:
                self._changed.wait_for(
                    lambda: self._urgent or self._closing, self._settings.flush_interval_s
                )
            if not self._buffer or (self._closing and self._retry_s):
                return None
            self._urgent, self._sending = False, True
            return self._buffer.drain()

    def _send(self, batch: HintBatch) -> bool:
        """Deliver a batch; returns whether it should be sent again."""
        try:
            if self._transport is None:
                self._transport = self._connect()
            self._deliver(self._transport, batch)
        except StaleEpochError as error:
            return self._failed(batch, error, again=self._catch_up(batch))
        except ScaleSimError as error:
            self._disconnect()
            return self._failed(batch, error, again=error.retryable)
        except Exception as error:
            self._disconnect()
            return self._failed(batch, error, again=False)
        with self._changed:
            self._retry_s = 0.0
            self._ended += batch.ends
            self._count(sent=batch.rows)
            if self._is_away:
                self._is_away = False
                _logger.info("Hints of %s reach the stack again", self._simulation)
        return False

    def _deliver(self, transport: Transport, batch: HintBatch) -> None:
        if batch.ends:
            transport.end(self._simulation)
        if batch.changes:
            changes = (batch.agents("pin"), batch.agents("unpin"), batch.agents("done"))
            transport.lifecycle(self._simulation, *changes)
        for report in batch.reports():
            transport.report(self._simulation, report)

    def _catch_up(self, batch: HintBatch) -> bool:
        """Adopt the stack's epoch where a sibling client of this simulation was ahead."""
        try:
            newest = self._transport.epoch(self._simulation) if self._transport else 0
        except ScaleSimError:
            return True
        if newest > batch.epoch + MAX_CATCH_UP:
            return False
        with self._changed:
            self._buffer.catch_up(newest)
        return newest > batch.epoch

    def _disconnect(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._transport = None

    def _failed(self, batch: HintBatch, error: Exception, *, again: bool) -> bool:
        with self._changed:
            if not (self._is_away or isinstance(error, StaleEpochError)):
                self._is_away = True  # said once, however long it lasts
                _logger.warning("Hints of %s do not reach the stack: %s", self._simulation, error)
            self._retry_s = min(max(2 * self._retry_s, _RETRY_FIRST_S), _RETRY_LAST_S)
            self._count(
                dropped=0 if again else batch.rows,
                failed=1,
                error=f"{type(error).__name__}: {error}",
            )
        return again

    def _count(self, sent: int = 0, dropped: int = 0, failed: int = 0, error: str = "") -> None:
        old = self.stats
        self.stats = Stats(
            old.sent + sent, old.dropped + dropped, old.failed + failed, error or old.last_error
        )

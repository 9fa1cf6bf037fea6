"""A line every few seconds, where no terminal shows a live one: in logs, pipes and jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

_logger = logging.getLogger(__name__)

PERIOD_S = 5.0
"""Time between two lines: seldom enough for a log of hours, often enough to see that it goes on."""


class ProgressLines:
    """Prints lines from its own thread, between `start` and `stop`.

    Args:
        console: Where to.
        lines: Returns what to print; called once a period, and its result is printed as it is.
        period_s: Seconds between two prints.
    """

    def __init__(
        self, console: Console, lines: Callable[[], Iterable[str]], period_s: float = PERIOD_S
    ) -> None:
        self._console = console
        self._lines = lines
        self._period_s = period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print, name="progress", daemon=True)

    def start(self) -> None:
        """Begin; the first lines come after one period."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the lines that are being printed are out."""
        self._ended.set()
        self._thread.join()

    def _print(self) -> None:
        while not self._ended.wait(self._period_s):
            try:
                for line in self._lines():
                    self._console.print(line, highlight=False, markup=False, soft_wrap=True)
            except Exception:  # the next ones may be well; the work goes on in any case
                _logger.warning("Progress could not be shown", exc_info=True)


@contextmanager
def waiting(console: Console, what: str, period_s: float = PERIOD_S) -> Iterator[None]:
    """Show that something is under way, and for how long: live on a terminal, else in lines."""
    if console.is_terminal:
        with console.status(what):
            yield
        return
    console.print(what, highlight=False)
    begun = time.monotonic()
    lines = ProgressLines(console, lambda: [f"{what} {time.monotonic() - begun:.0f} s"], period_s)
    lines.start()
    try:
        yield
    finally:
        lines.stop()

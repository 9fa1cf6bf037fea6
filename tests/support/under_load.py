"""Requests on and on, beside what a test does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def under_load(askers: Sequence[Callable[[], int]], pause_s: float = 0.0) -> Iterator[list[int]]:
    """Call each asker again and again, in a thread of its own; yields what all of them returned.

    Args:
        askers: Ask once and return the answer's status.
        pause_s: After each answer.
    """
    found: list[int] = []
    ended = threading.Event()

    def live(ask: Callable[[], int]) -> None:
        while not ended.is_set():
            found.append(ask())
            ended.wait(pause_s)

    threads = [threading.Thread(target=live, args=(ask,)) for ask in askers]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()

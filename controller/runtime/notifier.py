"""What long polls wait for."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Notifier:
    """Wakes everyone who waits for a name at that moment."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @property
    def awaited(self) -> frozenset[str]:
        """Names that somebody waits for."""
        return frozenset(self._waiting)

    def notify(self, name: str) -> None:
        """Wake those who wait for one name."""
        for waiter in self._waiting.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    def notify_all(self) -> None:
        """Wake everyone."""
        for name in list(self._waiting):
            self.notify(name)

    async def wait(self, name: str, timeout_s: float) -> None:
        """Return when the name is notified, or after `timeout_s`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[name].add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout_s)
        finally:
            self._waiting[name].discard(waiter)
            if not self._waiting[name]:
                del self._waiting[name]

"""Carries the controller's batches to the catalog without making it wait."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from scalesim.controller.catalog.decoding import CatalogHeader
from scalesim.controller.catalog.rows import CatalogBatch
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.controller.core import Controller
from scalesim.errors import CatalogUnavailableError

_logger = logging.getLogger(__name__)

_BEAT_S = 5.0
"""How often the owner of a catalog shows that it lives, where it has nothing to write."""
_LEAST_ROWS = 100
"""A batch is not made smaller than this, however often it did not arrive."""
_GONE_S = 6 * _BEAT_S
"""An owner that wrote nothing for so long is gone: its controller restarts within seconds."""

Result = TypeVar("Result")


@dataclass(slots=True)
class OtherOwner:
    """A newer controller that writes to the catalog, as seen from here.

    Attributes:
        since: When `head` was first seen, on the monotonic clock.
        head: What it wrote last.
        looked_at: When it was last looked for.
    """

    since: float
    head: CatalogHeader | None = None
    looked_at: float = -math.inf


class CatalogFlusher:
    """Writes one batch at a time on its own thread and keeps what did not arrive.

    Args:
        controller: The controller that makes the batches; called on the event loop only.
        catalog: Where to; called on the thread only.
    """

    def __init__(self, controller: Controller, catalog: Catalog) -> None:
        self._controller = controller
        self._catalog = catalog
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catalog")
        self._kept_up_at = time.monotonic()
        self._written_at = -math.inf
        self._error = ""
        self._limit: int | None = None
        self._owner: OtherOwner | None = None
        self._totals = {"flushes": 0, "rows": 0, "failures": 0, "losses": 0}

    async def flush(self) -> bool:
        """Write the next batch; return whether there was one and it arrived.

        While a newer controller owns the catalog this one only looks whether that one is alive, and
        takes the catalog back when it is not: a release that is upgraded without a gap has two for
        a while, and the older one stays where the upgrade is rolled back.
        """
        if self._owner is not None:
            await self._look_at(self._owner)
            return False
        asked_at = time.monotonic()
        batch = self._controller.take_dirty(self._limit)
        if batch is None:
            self._kept_up_at = asked_at
            if asked_at - self._written_at < _BEAT_S:
                return False
        try:
            outcome = await self._write(batch)
        except CatalogUnavailableError as error:
            self._keep(batch)
            self._note(str(error))
            if batch is not None:
                # A server that is busy otherwise may not take so many in the time it is given.
                self._limit = max(batch.rows.size // 2, _LEAST_ROWS)
            return False
        except BaseException as error:
            self._keep(batch)
            self._note(f"the catalog cannot be written: {type(error).__name__}: {error}")
            raise
        if outcome is WriteOutcome.WRITTEN:
            self._kept_up_at = self._written_at = asked_at
            if batch is not None and self._limit is not None and batch.rows.size >= self._limit:
                self._limit += self._limit // 4  # up to where `flush_rows` keeps batches below it
            self._note("")
        elif outcome is WriteOutcome.LOST:
            self._totals["losses"] += 1
            self._controller.start_catalog_over()
        else:
            self._note("")
            self._owner = OtherOwner(since=asked_at)
            _logger.info("A newer controller owns the catalog; this one does not write")
        if batch is None or outcome is not WriteOutcome.WRITTEN:
            return False
        self._totals["flushes"] += 1
        self._totals["rows"] += batch.rows.size
        return True

    async def close(self) -> None:
        """Write everything that is left, as far as the server answers."""
        while await self.flush():
            pass
        self._thread.shutdown()
        self._catalog.close()

    def status(self) -> dict[str, Any]:
        """Return health: `lag_s` is for how long no batch has arrived though there was one.

        `is_owner` is False while a newer controller writes in its place; that is not a fault.
        """
        lag_s = 0.0 if self._owner else max(time.monotonic() - self._kept_up_at, 0.0)
        health = {"ok": not self._error, "error": self._error, "is_owner": self._owner is None}
        return {**health, "lag_s": lag_s, **self._totals}

    async def _write(self, batch: CatalogBatch | None) -> WriteOutcome:
        incarnation = self._controller.incarnation
        if batch is None:
            return await self._on_thread(self._catalog.beat, incarnation)
        return await self._on_thread(self._catalog.write, batch, incarnation)

    def _keep(self, batch: CatalogBatch | None) -> None:
        self._totals["failures"] += 1
        if batch is not None:
            self._controller.give_back(batch)

    async def _look_at(self, owner: OtherOwner) -> None:
        now = time.monotonic()
        if now - owner.looked_at < _BEAT_S:
            return
        owner.looked_at = now
        try:
            head = await self._on_thread(self._catalog.head)
        except CatalogUnavailableError:
            owner.since = now  # nobody can write
            return
        if head != owner.head:
            owner.head, owner.since = head, now
        elif now - owner.since >= _GONE_S:
            _logger.warning("The newer controller is gone; this one takes the catalog back")
            self._controller.outrank(head.incarnation if head else 0)
            self._controller.start_catalog_over()
            self._owner, self._kept_up_at = None, now

    async def _on_thread(self, call: Callable[..., Result], *arguments: object) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, call, *arguments)

    def _note(self, error: str) -> None:
        if error and not self._error:
            _logger.warning(error)
        if self._error and not error:
            _logger.info("The catalog is back")
        self._error = error

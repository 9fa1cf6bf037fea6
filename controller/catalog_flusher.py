"""Carries the controller's batches to the catalog without making it wait."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.controller.core import Controller
from scalesim.errors import CatalogUnavailableError

_logger = logging.getLogger(__name__)


class CatalogFlusher:
    """Writes one batch at a time on its own thread and keeps what did not arrive.

    Args:
        controller: Whose batches; called on the event loop only.
        catalog: Where to; called on the thread only.
    """

    def __init__(self, controller: Controller, catalog: Catalog) -> None:
        self._controller = controller
        self._catalog = catalog
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catalog")
        self._kept_up_at = time.monotonic()
        self._error = ""
        self._superseded = False
        self._totals = {"flushes": 0, "rows": 0, "failures": 0, "losses": 0}

    async def flush(self) -> bool:
        """Write the next batch; return whether there was one and it arrived."""
        asked_at = time.monotonic()
        batch = None if self._superseded else self._controller.take_dirty()
        if batch is None:
            self._kept_up_at = asked_at
            return False
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._catalog.write, batch, self._controller.incarnation
            )
        except CatalogUnavailableError as error:
            self._controller.give_back(batch)
            self._totals["failures"] += 1
            self._note(str(error))
            return False
        except BaseException as error:
            self._controller.give_back(batch)
            self._totals["failures"] += 1
            self._note(f"the catalog cannot be written: {type(error).__name__}: {error}")
            raise
        if outcome is WriteOutcome.WRITTEN:
            self._kept_up_at = asked_at
            self._totals["flushes"] += 1
            self._totals["rows"] += batch.rows.size
            self._note("")
        elif outcome is WriteOutcome.LOST:
            self._totals["losses"] += 1
            self._controller.start_catalog_over()
        else:
            self._superseded = True
            self._note("a newer controller owns the catalog; this one no longer writes")
        return outcome is WriteOutcome.WRITTEN

    async def close(self) -> None:
        """Write everything that is left, as far as the server answers."""
        while await self.flush():
            pass
        self._thread.shutdown()
        self._catalog.close()

    def status(self) -> dict[str, Any]:
        """Return health: `lag_s` is for how long no batch has arrived though there was one."""
        lag_s = max(time.monotonic() - self._kept_up_at, 0.0)
        return {"ok": not self._error, "error": self._error, "lag_s": lag_s, **self._totals}

    def _note(self, error: str) -> None:
        if error and not self._error:
            _logger.warning(error)
        if self._error and not error:
            _logger.info("The catalog is back")
        self._error = error

"""Hints that come inside requests, on their way to the controller: no request waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from scalesim.controller.api import ControllerApi
from scalesim.deployments.requests.hint_document import HintEffects
from scalesim.errors import ScaleSimError
from scalesim.vocabulary import ReportAck

_logger = logging.getLogger(__name__)

MOST_UNDER_WAY = 256
"""Documents on their way at once; more are dropped, as a controller that is away takes none."""


class CarriedHints:
    """Hands hints on to the controller.

    Args:
        controller: Who takes them; None where there is none, which drops them.
        dropped: Called for each document that did not arrive.
    """

    def __init__(self, controller: ControllerApi | None, dropped: Callable[[], object]) -> None:
        self._dropped = dropped
        self._controller = controller
        self._under_way: set[asyncio.Task[None]] = set()

    def hand_on(self, known: HintEffects, holder: str) -> None:
        """Start sending hints, without waiting; `holder` owns the key that the caller sent."""
        if self._controller is None or len(self._under_way) >= MOST_UNDER_WAY:
            self._dropped()
            return
        task = asyncio.create_task(self._send(self._controller, known, holder))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Cancel what is still being sent."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _send(self, controller: ControllerApi, known: HintEffects, holder: str) -> None:
        try:
            await report(controller, known, holder)
        except ScaleSimError as error:
            self._dropped()
            _logger.debug("hints of a request were not taken: %s", error)
        except Exception:
            self._dropped()
            _logger.exception("hints of a request were not taken")


async def report(controller: ControllerApi, known: HintEffects, holder: str) -> ReportAck:
    """Hand hints to the controller: first who is pinned or done, as a distance undoes the latter.

    Raises:
        StaleEpochError: The simulation is already at a later step.
        UnavailableError: The controller is away, or has no room.
    """
    if known.changes_lives:
        await controller.lifecycle(*known.changes, holder=holder)
    return await controller.report(*known.report, holder=holder)

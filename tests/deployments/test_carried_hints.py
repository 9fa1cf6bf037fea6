"""Hints inside requests go to the controller beside them; one that is away is not a fault."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from scalesim.deployments import carried_hints
from scalesim.deployments.carried_hints import CarriedHints
from scalesim.deployments.requests.hint_document import known
from scalesim.errors import ControllerUnavailableError
from scalesim.vocabulary import ReportAck

KNOWN = known("town", {"epoch": 3, "order": ["a", "b"], "pin": ["a"]})


class HintReceiver:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[tuple[str, str]] = []
        self.arrived = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def lifecycle(self, simulation: str, *keys: Any, holder: str) -> None:
        await self.goes_on.wait()
        self.calls.append(("lifecycle", holder))

    async def report(self, simulation: str, epoch: int, *rows: Any, holder: str) -> ReportAck:
        self.calls.append((f"report {epoch}", holder))
        self.arrived.set()
        if self.errors:
            raise self.errors.pop(0)
        return ReportAck(epoch, 2, 0)


async def test_nobody_waits_for_them_and_they_arrive() -> None:
    controller, dropped = HintReceiver(), Mock()
    carried = CarriedHints(controller, dropped)  # type: ignore[arg-type]
    carried.hand_on(KNOWN, "key")
    assert controller.calls == []
    controller.goes_on.set()
    await asyncio.wait_for(controller.arrived.wait(), 5)
    assert controller.calls == [("lifecycle", "key"), ("report 3", "key")]
    await carried.close()
    assert dropped.call_count == 0


@pytest.mark.parametrize("error", [ControllerUnavailableError("away"), KeyError("a fault")])
async def test_what_does_not_arrive_is_counted(error: Exception) -> None:
    controller, counted = HintReceiver(error), asyncio.Event()
    dropped = Mock(side_effect=counted.set)
    controller.goes_on.set()
    carried = CarriedHints(controller, dropped)  # type: ignore[arg-type]
    carried.hand_on(KNOWN, "key")
    await asyncio.wait_for(counted.wait(), 5)
    assert dropped.call_count == 1


async def test_a_controller_that_does_not_answer_holds_a_bounded_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carried_hints, "MOST_UNDER_WAY", 2)
    dropped = Mock()
    carried = CarriedHints(HintReceiver(), dropped)  # type: ignore[arg-type]
    for _ in range(5):
        carried.hand_on(KNOWN, "key")
    assert dropped.call_count == 3
    await carried.close()
    for _ in range(2):  # there is room again
        carried.hand_on(KNOWN, "key")
    assert dropped.call_count == 3
    await carried.close()


async def test_without_a_controller_they_are_dropped() -> None:
    dropped = Mock()
    carried = CarriedHints(None, dropped)
    carried.hand_on(KNOWN, "key")
    assert dropped.call_count == 1

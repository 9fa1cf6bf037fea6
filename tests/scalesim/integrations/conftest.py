"""The run that hooks of frameworks report to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scalesim.integrations import current_run
from scalesim.settings import ClientSettings
from scalesim.simulation import Simulation
from tests.support.fake_transport import FakeTransport


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTransport]:
    transport = FakeTransport()
    run = Simulation("town", settings=ClientSettings(), transport=transport)
    monkeypatch.setattr("scalesim.simulation.Simulation", lambda: run)
    current_run.start_over_in_fork()
    yield transport
    current_run.start_over_in_fork()
    run.close()

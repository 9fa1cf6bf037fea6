"""What is known beside the schedule may change while it is looked at."""

from typing import Any

import pytest

from scalesim import known_structure
from scalesim.known_structure import KnownPositions
from scalesim.policies.distance.spatial import Encounters


def test_an_agent_that_goes_meanwhile_on_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    space = KnownPositions(reach=1.0)

    class Meanwhile(Encounters):
        def move(self, *arguments: Any) -> None:
            space.forget(["ann"])
            super().move(*arguments)

    monkeypatch.setattr(known_structure, "Encounters", Meanwhile)
    for number, name in enumerate(("ann", "bob", "eve")):
        space.move(name, (4.0 * number, 0.0), (1.0 - number, 0.0), 0)
    assert {agent for agent, _ in space.distances(0)} == {"ann", "bob", "eve"}

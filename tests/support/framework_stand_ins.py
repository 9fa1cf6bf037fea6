"""Stand-ins for frameworks, and what was reported of them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesim.caller import current
from scalesim.integrations import current_run
from scalesim.integrations.requests_of_http import named_requests
from tests.support.fake_transport import FakeTransport


def module(**names: Any) -> ModuleType:
    made = ModuleType("stand_in")
    vars(made).update(names)
    return made


def who() -> str | None:
    identity = current()
    return identity.agent if identity else None


def steps(transport: FakeTransport) -> dict[str, float]:
    """Return the distances reported last, once all is sent."""
    assert current_run.simulation().flush()
    return dict(sorted(transport.distances.items(), key=lambda pair: pair[1]))


class StandInPerson:
    def __init__(self, number: int = 0, name: str = "ann") -> None:
        self.unique_id, self.name = number, name
        self.acted: list[str | None] = []

    def step(self) -> None:
        self.acted.append(who())
        named_requests.total += 1

"""The verbs of a simulation: what each tells, and that none of them fails."""

from collections.abc import Iterator
from uuid import UUID

import numpy as np
import pytest

from scalesim import Simulation, current_headers
from scalesim.errors import InvalidRequestError
from tests.support.fake_transport import FakeTransport

INF = float("inf")


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def town(transport: FakeTransport) -> Iterator[Simulation]:
    with Simulation("town", transport=transport, step_hours=0.5) as simulation:
        yield simulation


def reported(town: Simulation, transport: FakeTransport) -> dict[str, float]:
    assert town.flush()
    return transport.distances


def test_active_agents_are_at_zero_and_upcoming_ones_follow(
    town: Simulation, transport: FakeTransport
) -> None:
    town.step(3, active=["a", "b"], upcoming=[["c", "a"], ["d"]])
    assert reported(town, transport) == {"a": 0, "b": 0, "c": 1, "d": 2}
    assert transport.newest == 3


def test_an_order_spreads_agents_over_the_step(town: Simulation, transport: FakeTransport) -> None:
    town.step(0, order=["a", "b"], upcoming=[["c", "d"]])
    assert reported(town, transport) == {"a": 0, "b": 0.5, "c": 1, "d": 1.5}


def test_arrays_of_ids_are_taken(town: Simulation, transport: FakeTransport) -> None:
    town.step(0, order=np.array(["a", "b"]), upcoming=[np.array(["c"])])  # type: ignore[arg-type]
    assert reported(town, transport) == {"a": 0, "b": 0.5, "c": 1}


def test_a_wake_is_relative_to_the_step_it_is_sent_in(
    town: Simulation, transport: FakeTransport
) -> None:
    town.step(10)
    town.wake("a", 12.5)
    town.wake("b", 4)
    town.wake("c", INF)
    assert reported(town, transport) == {"a": 2.5, "b": 6, "c": INF}, "6 steps late"


def test_a_rate_is_reported_at_every_step_until_it_is_forgotten(
    town: Simulation, transport: FakeTransport
) -> None:
    town.rate("a", per_hour=0.5)
    town.rate("b", per_hour=2)
    town.step(0, active=["b"])
    assert reported(town, transport) == {"a": 4, "b": 0}
    town.rate("a", per_hour=0)
    transport.reports.clear()
    town.step(1)
    assert reported(town, transport) == {"b": 1}


def test_distances_pass_through(town: Simulation, transport: FakeTransport) -> None:
    town.step(5)
    town.distances(["a", "b"], [0.25, INF])
    assert reported(town, transport) == {"a": 0.25, "b": INF}


def test_pins_and_ends_travel_with_the_latest_winning(
    town: Simulation, transport: FakeTransport
) -> None:
    town.pin("a", "b")
    town.unpin("b")
    town.wake("c", 3)
    town.done("c")
    assert reported(town, transport) == {}
    assert transport.changes == [(["a"], ["b"], ["c"])]


def test_what_is_not_valid_is_dropped_and_counted(
    town: Simulation, transport: FakeTransport
) -> None:
    town.step(0, active=["a", "", "x" * 300])
    town.wake("b", float("nan"))
    town.distances(["c"], [1.0, 2.0])
    town.pin("\n")
    town.step(0, active=[7.5, True, ["b"]])  # type: ignore[list-item]
    town.rate(["b"], per_hour=1)  # type: ignore[arg-type]
    town.done(["b"])  # type: ignore[arg-type]
    assert reported(town, transport) == {"a": 0}
    assert town.stats.dropped == 10
    assert "is not an agent id" in town.stats.last_error


def test_integers_and_uuids_are_their_text(town: Simulation, transport: FakeTransport) -> None:
    one = UUID(int=1)
    town.step(np.int64(1), order=[1, np.int64(2), one])  # type: ignore[arg-type]
    town.pin(1)
    town.rate(3, per_hour=1)
    town.rate("3", per_hour=0)
    town.step(2)
    assert reported(town, transport).keys() == {"1", "2", str(one)}
    assert transport.changes == [(["1"], [], [])]
    assert [type(report.epoch) for report in transport.reports] == [int] * len(transport.reports)
    assert town.stats.dropped == 0
    with town.agent(1) as identity:
        assert identity[:2] == ("town", "1")
    assert town.headers(np.int64(2))["X-Agent-Id"] == "2"


def test_the_mesa_line_of_the_documentation(town: Simulation, transport: FakeTransport) -> None:
    class Villager:
        def __init__(self, unique_id: int) -> None:
            self.unique_id = unique_id

    agents = [Villager(1), Villager(2), Villager(3)]
    town.step(4, order=[a.unique_id for a in agents])
    assert len(reported(town, transport)) == 3
    assert town.stats.dropped == 0


def test_an_end_gives_up_what_waits_and_steps_start_over(
    town: Simulation, transport: FakeTransport
) -> None:
    town.step(9, active=["a"])
    assert reported(town, transport) == {"a": 0}
    town.rate("a", per_hour=1)
    town.wake("b", 12)
    assert town.end()
    assert transport.ends == 1
    town.step(1, active=["c"])
    assert reported(town, transport) == {"c": 0}
    assert transport.newest == 1


def test_context_and_headers_carry_the_simulation(town: Simulation) -> None:
    with town.agent("a") as identity:
        assert identity == ("town", "a", "")
    assert town.headers("a", next_use=2.5, step=3) == {
        "X-Agent-Id": "a",
        "X-Simulation-Id": "town",
        "X-Agent-Next-Use": "2.5",
        "X-Agent-Step": "3",
    }
    with pytest.raises(InvalidRequestError):
        town.headers("")


def test_an_adapter_goes_with_the_calls_of_its_agent(town: Simulation) -> None:
    town.adapter(7, "farmer")
    assert town.headers("7")["X-Agent-Adapter"] == "farmer"
    with town.agent("7"):
        assert current_headers()["X-Agent-Adapter"] == "farmer"
    assert "X-Agent-Adapter" not in town.headers("8")
    town.adapter("7", "")
    assert "X-Agent-Adapter" not in town.headers("7")
    for wrong in ("../x", "a b", 7):
        with pytest.raises(InvalidRequestError):
            town.adapter("7", wrong)  # type: ignore[arg-type]


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="is not a simulation id"):
        Simulation("no spaces")


def test_agents_that_come_towards_each_other_are_due_when_they_meet(
    town: Simulation, transport: FakeTransport
) -> None:
    for t, x in enumerate((0.0, 1.0)):
        town.step(t)
        town.position("walker", (x, 0))
        town.position("bench", (6, 0), velocity=(0, 0))
        town.position("far", (100, 0))
    town.step(2)
    assert reported(town, transport) == {"walker": 3, "bench": 3}, "at x = 2, 1 from 6 at x = 5"


def test_a_position_of_what_is_done_or_not_a_number_is_none(
    town: Simulation, transport: FakeTransport
) -> None:
    for agent in ("a", "b"):
        town.position(agent, (0, 0))
    town.position("c", (float("nan"), 0))
    town.done("a")
    town.step(1)
    assert reported(town, transport) == {}
    assert town.stats.dropped == 1


def test_activity_spreads_along_edges(town: Simulation, transport: FakeTransport) -> None:
    town.edges([("a", "b"), ("b", "c"), ("d", "a")])
    town.step(0, active=["a", "stranger"])
    assert reported(town, transport) == {"a": 0, "stranger": 0, "b": 1, "c": 2}


def test_a_workflow_goes_on_with_who_has_not_had_its_turn(
    town: Simulation, transport: FakeTransport
) -> None:
    town.workflow([("write", "read"), ("read", "print"), ("draw", "print")])
    town.step(0, active=["write", "draw"])
    first = reported(town, transport)
    assert first == {"write": 0, "draw": 0, "read": 1, "print": 2}
    town.step(1, active=["read"])
    assert transport.newest == 0 or reported(town, transport)["print"] == 1


def test_a_workflow_in_a_circle_is_refused(town: Simulation) -> None:
    with pytest.raises(InvalidRequestError, match="cycle"):
        town.workflow([("a", "b"), ("b", "a")])


def test_what_is_nearest_counts(town: Simulation, transport: FakeTransport) -> None:
    town.rate("b", per_hour=0.5)  # 4 steps
    town.edges([("a", "b")])
    town.step(0, active=["a"])
    assert reported(town, transport) == {"a": 0, "b": 1}


async def test_what_waits_has_an_asynchronous_twin(transport: FakeTransport) -> None:
    async with Simulation("town", transport=transport) as town:
        town.step(1, active=["a"])
        assert await town.aflush()
        assert transport.distances == {"a": 0}
        assert await town.aend()
        assert transport.ends == 1
    assert transport.closed

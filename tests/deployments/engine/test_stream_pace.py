"""Streams wait the longer the more there are, never at their beginning or end."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from scalesim.deployments.engine import stream_pace
from scalesim.deployments.engine.stream_pace import LEAST_S, MOST_S, PIECES_PER_S, StreamPace


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times: list[float] = []

    async def sleep(seconds: float) -> None:
        times.append(seconds)

    monkeypatch.setattr(stream_pace.asyncio, "sleep", sleep)
    return times


def paced(streams: int) -> tuple[StreamPace, ExitStack]:
    pace, all_of_them = StreamPace(), ExitStack()
    for _ in range(streams):
        all_of_them.enter_context(pace)
    return pace, all_of_them


@pytest.mark.parametrize(
    ("streams", "between_s"),
    [(1, 0), (4, 0), (5, LEAST_S), (64, 64 / PIECES_PER_S), (100, MOST_S), (5000, MOST_S)],
)
async def test_pieces_are_so_many_a_second_and_no_stream_stands_still(
    slept: list[float], streams: int, between_s: float
) -> None:
    pace, all_of_them = paced(streams)
    await pace.wait(lambda: False)
    assert sum(slept) == pytest.approx(between_s)
    all_of_them.close()
    assert pace.between_s == 0


async def test_an_answer_that_has_ended_waits_no_more(slept: list[float]) -> None:
    pace, all_of_them = paced(100)
    with all_of_them:
        await pace.wait(lambda: len(slept) == 2)
    assert sum(slept) < MOST_S / 2

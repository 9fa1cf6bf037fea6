"""What frameworks report of their turns makes more hits than what is learned without it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import pytest

from tests.support.controller_world import make_controller, report
from tests.support.evicting_replica import EvictingReplica

STEPS = 48


class ReportedStep(NamedTuple):
    """Who asks in a step, in their order, and the distances that are reported before."""

    turns: tuple[int, ...]
    reported: dict[int, float]


def round_robin() -> Iterator[ReportedStep]:
    """Everyone's next turn is reported at every turn."""
    for turn in range(STEPS):
        yield ReportedStep((turn % 4,), {(turn + ahead) % 4: float(ahead) for ahead in range(4)})


def pairs() -> Iterator[ReportedStep]:
    """Two pairs talk in turn; each says no more than that it begins."""
    for first, second in islice(cycle([(1, 2), (3, 4)]), STEPS):
        yield ReportedStep((first, second), {first: 0.0, second: 0.5})


def graph() -> Iterator[ReportedStep]:
    """A writer, two reviewers and an editor, after whom a condition decides."""
    nodes = [
        ReportedStep((1,), {1: 0.0, 2: 1.0, 3: 1.0, 4: 2.0}),
        ReportedStep((2, 3), {2: 0.0, 3: 0.0, 4: 1.0}),
        ReportedStep((4,), {4: 0.0}),
    ]
    return islice(cycle(nodes), STEPS)


def shuffled() -> Iterator[ReportedStep]:
    """Everyone acts once a step, in a new order."""
    chance = np.random.default_rng(0)
    for _ in range(STEPS // 4):
        order = chance.permutation(8).tolist()
        yield ReportedStep(tuple(order), {agent: place / 8 for place, agent in enumerate(order)})


def hits(program, device: int, *, is_reported: bool) -> float:
    controller = make_controller()
    engine = EvictingReplica(controller, device)
    found = []
    for number, step in enumerate(program(), start=1):
        if is_reported:
            report(controller, number, step.reported)
        found += [engine.request(agent) for agent in step.turns]
    return float(np.mean(found))


@pytest.mark.parametrize("program", [round_robin, pairs, graph, shuffled])
def test_reports_make_more_hits_than_are_made_without(program):
    device = 2
    assert hits(program, device, is_reported=True) > hits(program, device, is_reported=False)

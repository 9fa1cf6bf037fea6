"""Turns and prompts as data."""

from __future__ import annotations

import random

import pytest

from benchmarks.gpu.engines import PAGE, Setup
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.turns import AskTurn, Flush, Move, Push, Turns
from scalesim.simulations.workload import PromptSize
from scalesim.vocabulary import Tier

SETUP = Setup("tiny", 24, PromptSize(192, 16, 4))


def _common(one: list[int], other: list[int]) -> int:
    pairs = enumerate(zip(one, other, strict=True))
    return next((at for at, (a, b) in pairs if a != b), len(one))


def test_related_agents_share_heads_of_many_lengths() -> None:
    prompts = Prompts(SETUP, views=2, related=True)
    lengths = {
        _common(prompts.ids(agent, 0), prompts.ids(other, 0))
        for agent in range(24)
        for other in prompts.relatives(agent)
    }
    assert len(lengths) > 8
    assert any(length % PAGE for length in lengths)
    assert max(lengths) < SETUP.size.private
    assert all(len(prompts.ids(*each)) == 208 for each in prompts.all())


def test_agents_share_nothing_unless_they_are_related() -> None:
    prompts = Prompts(SETUP, views=2)
    assert not any(prompts.relatives(agent) for agent in range(24))


def test_relatives_have_the_same_adapter() -> None:
    prompts = Prompts(SETUP._replace(adapters=3), views=1, related=True)
    asked = [prompts.more(agent) for agent in range(24)]
    assert {} in asked  # the bare model is one of them
    for agent in range(24):
        assert all(asked[other] == asked[agent] for other in prompts.relatives(agent))


def test_a_wrong_page_is_wrong_whoever_shares_it() -> None:
    prompts = Prompts(SETUP, views=1, related=True)
    for agent in range(24):
        right, wrong = prompts.ids(agent, 0), prompts.with_wrong_page(agent)
        assert sum(a != b for a, b in zip(right, wrong, strict=True)) > PAGE // 2
        assert right[:PAGE] == wrong[:PAGE]


def test_the_same_seed_draws_the_same_turns() -> None:
    prompts = Prompts(SETUP, views=2, related=True)
    draw = [Turns(prompts, random.Random(seed)).draw(50) for seed in (7, 7, 8)]
    assert draw[0] == draw[1] != draw[2]


@pytest.mark.parametrize("stored", [False, True])
def test_turns_are_of_every_kind_and_of_agents_there_are(stored: bool) -> None:
    turns = Turns(Prompts(SETUP, views=2, related=True), random.Random(0), stored=stored).draw(400)
    assert len({turn.name for turn in turns}) == 9 + stored
    steps = [step for turn in turns for step in turn.steps]
    assert any(isinstance(step, Flush) for step in steps)
    tiers = {step.tier for step in steps if isinstance(step, Move)}
    assert (Tier.STORAGE in tiers) == stored
    for step in steps:
        match step:
            case AskTurn(agent, view):
                assert agent in range(24)
                assert view in range(2)
            case Push(distances):
                assert all(agent in range(24) and value >= 0 for agent, value in distances)

"""Causal stepping is the rule as it reads: never too early, never late, never stuck."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.stepping import Causal, Dependencies, Space
from tests.support.stepping_rule import Rule, Setting, play

settings = st.builds(
    Setting,
    agents=st.integers(1, 12),
    end=st.integers(1, 6),
    reach=st.sampled_from([0.0, 1.0, 3.0]),
    speed=st.sampled_from([0.0, 0.5, 2.0]),
    width=st.sampled_from([0.7, 2.0, 50.0]),
    crowd=st.sampled_from([1.0, 8.0, 40.0]),
    sleepy=st.sampled_from([0.0, 0.4]),
    seen=st.integers(0, 8),
    parents=st.integers(0, 8),
    lead=st.sampled_from([1, 3, 64]),
    seed=st.integers(0, 10_000),
)


@given(settings)
def test_it_gives_out_what_the_rule_allows_and_nothing_else(setting: Setting) -> None:
    rule, conductor = Rule(setting), setting.conductor()
    for out, allowed in play(setting, conductor, rule):
        assert out == allowed
        assert conductor.floor() == min(rule.step.min(), setting.end)
        waves = conductor.waves()
        assert set(np.flatnonzero(waves == 0).tolist()) == out
        assert (np.isfinite(waves) == (rule.step < setting.end)).all()
    assert (rule.step >= setting.end).all()


def test_the_rule_can_fail() -> None:
    setting = Setting(6, 4, 1.0, 1.0, 2.0, 3.0, 0.0, 0, 0, 64, seed=3)
    blind = Causal(setting.first(), 4, space=Space(setting.position(), setting.first(), 2.0))
    assert any(out != allowed for out, allowed in play(setting, blind, Rule(setting)))


@pytest.mark.parametrize("apart", [2.9, 3.1])
def test_two_who_might_meet_go_together(apart: float) -> None:
    step = np.zeros(2, np.int64)
    place = np.array([[0.0, 0.0], [apart, 0.0]])
    pair = Causal(step, 9, space=Space(place, step, 1.0), reach=1.0, speed=2.0)
    assert pair.begin().tolist() == [0, 1]
    alone = pair.done(np.array([0]), np.array([1]), place[:1]).tolist()
    assert alone == ([] if apart < 3 else [0])


def test_waves_count_turns_that_must_end_first() -> None:
    chain = np.array([[0, 1], [1, 2], [2, 3]])
    line = Causal(np.zeros(4, np.int64), 2, depends=Dependencies.make(4, parents=chain))
    assert line.begin().tolist() == [0]
    assert line.waves().tolist() == [0, 1, 2, 3]
    assert line.done(np.array([0]), np.array([1])).tolist() == [0, 1]
    assert line.waves().tolist() == [0, 0, 1, 2]


def test_no_one_runs_too_far_ahead() -> None:
    free = Causal(np.zeros(2, np.int64), 9, lead=2)
    free.begin()
    ready = [free.done(np.array([0]), np.array([step])).tolist() for step in (1, 2, 3)]
    assert ready == [[0], [0], []]
    assert free.done(np.array([1]), np.array([1])).tolist() == [1, 0]

"""Plans of the society: exact counts, seeded, hard on recency."""

from collections import OrderedDict

import numpy as np
import pytest

from scalesim.errors import ConfigurationError
from scalesim.simulations.society import society
from scalesim.simulations.workload import PromptSize, Workload


def make(**changes: float) -> Workload:
    return society(**{"agents": 48, "steps": 12, "seed": 0, "size": PromptSize()} | changes)


@pytest.mark.parametrize(("agents", "active", "expected"), [(48, 0.2, 10), (7, 0.5, 4), (3, 1, 3)])
def test_exactly_the_active_share_acts_in_each_step(
    agents: int, active: float, expected: int
) -> None:
    schedule = make(agents=agents, active=active).schedule
    for step in range(1, len(schedule)):
        assert len(set(schedule.calls(step).tolist())) == expected


def test_same_seed_same_run_and_another_seed_another() -> None:
    assert make().digest == make().digest
    assert make(seed=1).digest != make().digest
    assert make().private_prompt(3) == make().private_prompt(3)
    assert make().private_prompt(3) != make().private_prompt(4)
    assert make().observation(3, 1, 0) != make().observation(3, 2, 0)


def test_prompts_have_one_word_a_token() -> None:
    words = make().private_prompt(0).split()
    assert len(words) == 768
    assert all(word[0] == "w" and 0 <= int(word[1:]) <= 1020 for word in words)


def test_everyone_acts_in_the_end() -> None:
    schedule = make().schedule
    assert np.isfinite(schedule.next_use(0)).all()


def test_recency_finds_little_of_what_comes_next() -> None:
    """A device for a quarter of the agents, as the reference run has: LRU must do badly."""
    schedule, cache, hits, calls = make().schedule, OrderedDict.fromkeys(range(36, 48)), 0, 0
    for step in range(1, 13):
        for row in schedule.calls(step).tolist():
            calls, hits = calls + 1, hits + (row in cache)
            cache[row] = None
            cache.move_to_end(row)
            if len(cache) > 12:
                cache.popitem(last=False)
    assert hits / calls < 0.25


@pytest.mark.parametrize("bad", [{"agents": 0}, {"steps": 0}, {"active": 0.0}, {"active": 1.5}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="use at least one agent"):
        make(**bad)

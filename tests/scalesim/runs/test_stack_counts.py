"""What a stack counts, before and after a run."""

import pytest

from scalesim.errors import UnavailableError
from scalesim.runs import stack_counts
from scalesim.runs.stack_counts import StackCounts
from scalesim.settings import ClientSettings
from tests.support.fake_stack import FakeStack


def test_a_run_is_the_difference_of_two_readings() -> None:
    with FakeStack() as stack:
        stack.status = {"uses": {"0": 4, "none": 2}, "hits": {"stack": 0.5, "lru": 0.25}}
        settings = ClientSettings(base_url=stack.base_url)
        before = stack_counts.read(settings)
        stack.refused |= {"invalid_request": 3, "internal_error": 1}
        stack.status = {"uses": {"0": 10, "none": 4}, "hits": {"stack": 0.75, "lru": 0.25}}
        run = stack_counts.read(settings).since(before)
    assert run.errors == {"invalid_request": 2, "internal_error": 1}
    assert run.uses == {"0": 6, "none": 2}
    assert run.coverage == 0.75
    assert run.hits == {"stack": 0.75, "lru": 0.25}


def test_coverage_of_no_uses_is_not_known() -> None:
    assert StackCounts({}, {}, {}).coverage is None


def test_a_stack_that_is_gone_is_one_error() -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9"):
        stack_counts.read(ClientSettings(base_url="http://127.0.0.1:9"))


def test_a_key_for_some_simulations_is_told_no_errors() -> None:
    with FakeStack() as stack:
        settings = ClientSettings(base_url=stack.base_url)
        told = stack_counts.read(settings)
        stack.only_for, stack.status = "town", {"uses": {"0": 4}}
        counts = stack_counts.read(settings)
    assert counts == (None, {"0": 4}, {})
    assert told.since(counts).errors is counts.since(told).errors is None
    assert counts.since(told).uses == {"0": 4}

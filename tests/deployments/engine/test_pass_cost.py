"""One rank measures what a pass costs, all decide by it."""

from __future__ import annotations

from scalesim.deployments.engine.sglang.pass_cost import ASSUMED_TOKENS, PassCost, PassCosts


class Measured:
    """A cache of one rank."""

    def __init__(self) -> None:
        self.pass_tokens = ASSUMED_TOKENS
        self.tokens = 0

    def measured_pass_tokens(self) -> int:
        return self.tokens


def test_what_is_measured_is_sent_once() -> None:
    cache = Measured()
    costs = PassCosts(cache)
    assert costs.measured() == []
    cache.tokens = 15_000
    assert costs.measured() == [PassCost(15_000)]
    cache.tokens = 15_100
    assert costs.measured() == []


def test_no_pass_is_taken_for_shorter_than_assumed() -> None:
    cache = Measured()
    costs = PassCosts(cache)
    cache.tokens = 100
    assert costs.measured() == []
    cache.tokens = 3 * ASSUMED_TOKENS
    costs.measured()
    cache.tokens = 100
    assert costs.measured() == [PassCost(ASSUMED_TOKENS)]


def test_ranks_take_over_what_one_measured_with_the_requests_of_a_pass() -> None:
    one, other = Measured(), Measured()
    one.tokens, other.tokens = 15_000, 20_000
    received = ["a request", *PassCosts(one).measured(), "another"]
    for cache in (one, other):
        assert PassCosts(cache).taken(received) == ["a request", "another"]
        assert cache.pass_tokens == 15_000

"""Figures of the arms, and the check that their text is equal."""

import pytest

from scalesim.headers import CachedTokens
from scalesim.simulations.comparison import TokensDifferError, document, require_equal_tokens
from tests.support.simulation_runs import outcome, small_society

MISS = CachedTokens(76)
HIT = CachedTokens(76, 64)


def test_the_document_has_the_agreed_shape() -> None:
    workload = small_society()
    outcomes = {
        "stock": outcome(workload, MISS, busy_s=3.0, text="w1"),
        "scalesim": outcome(workload, HIT, busy_s=2.0, text="w1"),
    }
    outcomes["scalesim"].status["late"] = {"adapter": 1}
    result = document(outcomes, workload)
    assert result["speedup"] == {"over_stock": 1.5}
    stock, ours = result["arms"]["stock"], result["arms"]["scalesim"]
    assert stock["tokens_sha256"] == ours["tokens_sha256"]
    del ours["tokens_sha256"]
    assert ours == {
        "wall_s": 2.6,
        "think_s": 0.6,
        "busy_s": 2.0,
        "ttft_s": {"p50": 0.15, "p95": 0.2, "p99": 0.2},
        "prefix_tokens": {"total": 256, "device": 256, "host": 0, "storage": 0, "recomputed": 0},
        "calls": 4,
        "errors": 0,
        "found": {"adapter": 0.75},
    }
    assert stock["found"] == {}
    assert stock["prefix_tokens"]["recomputed"] == 256


def test_a_difference_is_found_and_named() -> None:
    workload = small_society()
    outcomes = {
        "stock": outcome(workload, MISS, busy_s=3.0, text="w1"),
        "scalesim": outcome(workload, HIT, busy_s=2.0, text="w2"),
    }
    with pytest.raises(TokensDifferError, match="stock returned 'w1', scalesim 'w2'"):
        require_equal_tokens(outcomes, workload)
    del outcomes["stock"]
    require_equal_tokens(outcomes, workload)

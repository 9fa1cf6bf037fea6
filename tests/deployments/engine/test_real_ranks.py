"""Two tensor-parallel ranks of a real engine move state in the same passes."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.engines import engine
from benchmarks.gpu.interleaving import Interleaving
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import measure_reference
from scalesim.vocabulary import ADAPTER, PREFIX
from tests.deployments.engine.gpu_harness.test_on_an_engine import SETUP

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

RANKS = SETUP._replace(ranks=2)
PROMPTS = Prompts(RANKS, views=2, related=True)


async def test_ranks_that_move_state_answer_as_before(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with engine(RANKS, "scalesim", tmp_path) as host:
            expected = await measure_reference(host, PROMPTS)
            assert expected.wrong_pages_seen == 1.0
            steered = DrivenEngine(host)
            try:
                outcome = await Interleaving(steered, PROMPTS, expected).run(40, lambda: True)
                moved = {kind: steered.transfers[kind].issued for kind in (PREFIX, ADAPTER)}
            finally:
                await steered.stop()
    assert outcome["wrong"] == 0, outcome["wrong_answers"]
    assert outcome["equal"] == outcome["outputs"] > 40
    assert all(moved.values())

"""Two tensor-parallel ranks of a real engine move state in the same passes."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.interleaving import Interleaving
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import measure_reference
from scalesim.simulations.workload import PromptSize
from scalesim.vocabulary import ADAPTER, PREFIX

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

SETUP = Setup(
    "tiny",
    6,
    PromptSize(128, 16, 4),
    device_share=0.5,
    adapters=6,
    distinct=True,
    dtype="float32",
    concurrency=4,
    ranks=2,
)
PROMPTS = Prompts(SETUP, views=2, related=True)


async def test_ranks_that_move_state_answer_as_before(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with engine(SETUP, "scalesim", tmp_path) as host:
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

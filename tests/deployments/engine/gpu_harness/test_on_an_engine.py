"""The harness on a CPU engine: one engine, each part at its smallest."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu import reference_answers
from benchmarks.gpu.answer_check import ASKED, Verdict
from benchmarks.gpu.engine_backend import EngineBackend
from benchmarks.gpu.engine_caller import ask
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.interleaving import Interleaving
from benchmarks.gpu.prices import prices
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import ReferenceAnswers
from benchmarks.gpu.variants import VARIANTS
from benchmarks.gpu.workload_runner import drive
from benchmarks.gpu.workloads import played
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.simulations.arm_run import RunOptions
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
)
PROMPTS = Prompts(SETUP, views=2)
RELATED = Prompts(SETUP._replace(adapters=2), views=2, related=True)
PACE = RunOptions(workers=1, concurrency=4, think_s=0.0)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EngineHost]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = tmp_path_factory.mktemp("gpu")
        async with engine(SETUP, "scalesim", folder) as started:
            yield started


@pytest_asyncio.fixture(loop_scope="session")
async def steered(host: EngineHost) -> AsyncIterator[DrivenEngine]:
    hand = DrivenEngine(host)
    yield hand
    await hand.stop()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def reference(host: EngineHost) -> ReferenceAnswers:
    return await reference_answers.measure_reference(host, PROMPTS)


async def test_one_wrong_page_is_seen(host: EngineHost, reference: ReferenceAnswers) -> None:
    assert reference.wrong_pages_seen == 1.0
    assert reference.wrong_page > 10 * reference.rounding
    manager, expected = host.engine.tokenizer_manager, reference.answers[0, 0]
    others = await ask(manager, PROMPTS.ids(0, 0), PROMPTS.output, **ASKED, **PROMPTS.more(1))
    assert expected.judge(others, reference.rounding) is Verdict.WRONG


async def test_prices_are_of_this_engine(steered: DrivenEngine) -> None:
    found = await prices(steered, PROMPTS, batch=2)
    assert found.batch == 2
    assert min(found.prefill_token_s, found.output_token_s, found.prefix_bytes_per_s) > 0
    assert found.adapter_s is not None


@pytest.mark.parametrize("arm", ["hicache", "order", "learned", "scalesim"])
async def test_arms_answer_alike(host: EngineHost, arm: str) -> None:
    figures = [await _figures(host, name, arm) for name in ("society", "event-queue")]
    for run in figures:
        assert run["errors"] == 0
        found = run["prefix_tokens"]
        assert found["device"] + found["host"] + found["recomputed"] == found["total"] > 0
    ahead = sum(run["transfer"].get(PREFIX, {}).get("issued", 0) for run in figures)
    assert bool(ahead) == (arm == "scalesim") or arm == "learned"
    hashes = [run["tokens_sha256"] for run in figures]
    assert _HASHES.setdefault("first", hashes) == hashes


_HASHES: dict[str, list[str]] = {}


async def _figures(host: EngineHost, name: str, arm: str) -> dict:
    run = played(name, SETUP.agents, 4, SETUP.size, seed=0, active=1 / 3)
    serving = EngineBackend(host, VARIANTS[arm], adapters=SETUP.adapters)
    try:
        async with asyncio.timeout(60):
            return await drive(run, serving, PACE)
    finally:
        await serving.stop()


async def test_races_keep_every_answer(
    host: EngineHost, steered: DrivenEngine, reference: ReferenceAnswers
) -> None:
    related = await reference_answers.measure_reference(host, RELATED)
    # Relatives share adapters, all of which have a slot: those of their own are what moves.
    for prompts, expected, turns in ((RELATED, related, 40), (PROMPTS, reference, 25)):
        outcome = await Interleaving(steered, prompts, expected).run(turns, lambda: True)
        assert outcome["wrong"] == 0, outcome["wrong_answers"]
        assert outcome["equal"] == outcome["outputs"] > turns
        assert len(outcome["turns"]) > 5
    await steered.until(lambda: all(steered.transfers[kind].issued for kind in (PREFIX, ADAPTER)))

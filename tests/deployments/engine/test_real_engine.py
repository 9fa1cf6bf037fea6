"""The plugin's rules once more, inside a real SGLang engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio

from benchmarks.engine.driven_engine import DEADLINE_S
from scalesim.deployments.engine.channel import ReplicaEnd, SchedulerEnd
from scalesim.vocabulary import Directives, Tier, Verb
from tests.support.real_engine import PREFIX_TOKENS, RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

ROOM = 3
"""Agents that fit on the device together."""
FOUND = PREFIX_TOKENS
A_FEW_PASSES_S = 0.01


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def started(tiny_model: str) -> AsyncIterator[RealEngine]:
    engine = RealEngine(tiny_model, device_tokens=ROOM * (PREFIX_TOKENS + 64))
    await engine.start()
    yield engine
    await engine.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(started: RealEngine) -> AsyncIterator[RealEngine]:
    """The engine with an empty cache and no distances."""
    await started.move(Verb.UNPIN, *range(20))
    await started.push(dict.fromkeys(range(20), inf))
    async with asyncio.timeout(DEADLINE_S):  # refused while moves of the test before are under way
        while not (await started.manager.flush_cache()).success:
            await asyncio.sleep(A_FEW_PASSES_S)
    await started.until(lambda: not any(row.device for row in started.state.values()))
    started.state.clear()
    return started


async def learned(engine: RealEngine, *agents: int) -> dict[int, list[int]]:
    """Ask each agent twice, so that its stable prefix is known; return what it answers."""
    answers = {}
    for agent in agents:
        await engine.ask(agent)
        answers[agent] = (await engine.ask(agent)).tokens
    await engine.until(lambda: all(agent in engine.state for agent in agents))
    return answers


async def test_pressure_takes_the_farthest_agent_first(engine: RealEngine) -> None:
    await learned(engine, 1, 2, 3)
    await engine.push({1: 1.0, 2: 50.0, 3: 2.0})
    await engine.ask(4)
    await engine.until(lambda: engine.state[2].device == 0)
    assert min(engine.state[1].device, engine.state[3].device) >= FOUND


async def test_without_distances_the_oldest_leaves_first(engine: RealEngine) -> None:
    await learned(engine, 1, 2, 3)
    await engine.ask(4)
    await engine.until(lambda: engine.state[1].device == 0)
    assert engine.state[3].device >= FOUND


async def test_tokens_do_not_depend_on_the_tier(engine: RealEngine) -> None:
    expected = (await learned(engine, 1, 2))[1]
    hot = await engine.ask(1)
    await engine.move(Verb.DEMOTE, 1, tier=Tier.HOST)
    await engine.until(lambda: engine.state[1].device == 0)
    warm = await engine.ask(1)
    await engine.move(Verb.DEMOTE, 1, tier=Tier.HOST)
    await engine.until(lambda: engine.state[1].device == 0)
    await engine.push({1: 0.0})
    await engine.move(Verb.PREFETCH, 1)
    await engine.until(lambda: engine.state[1].device >= FOUND)
    fetched = await engine.ask(1)
    await engine.move(Verb.DROP, 1)
    await engine.until(lambda: engine.state[1].total == 0)
    cold = await engine.ask(1)
    found = [(answer.device >= FOUND, answer.host >= FOUND) for answer in (hot, warm, fetched)]
    assert found == [(True, False), (False, True), (True, False)]
    assert (cold.device, cold.host) == (0, 0)
    assert {tuple(a.tokens) for a in (hot, warm, fetched, cold)} == {tuple(expected)}
    assert (await engine.ask(2)).tokens != expected


async def test_a_fetch_called_back_before_it_began_moves_nothing(engine: RealEngine) -> None:
    await learned(engine, 1)
    await engine.move(Verb.DEMOTE, 1, tier=Tier.HOST)
    await engine.until(lambda: engine.state[1].device == 0)
    issued, refused = engine.transfer.issued, engine.transfer.refused
    await engine.moves((Verb.PREFETCH, 1, Tier.DEVICE), (Verb.DEMOTE, 1, Tier.HOST))
    await engine.move(Verb.PREFETCH, 777)
    await engine.until(lambda: engine.transfer.refused > refused)
    assert engine.transfer.issued == issued
    assert (engine.state[1].device, engine.state[1].host >= FOUND) == (0, True)


async def test_links_are_measured(engine: RealEngine) -> None:
    before = engine.transfer
    await learned(engine, 1)
    await engine.move(Verb.DEMOTE, 1, tier=Tier.HOST)
    await engine.until(lambda: engine.state[1].device == 0)
    await engine.move(Verb.PREFETCH, 1)
    await engine.until(lambda: engine.transfer.loaded_bytes > before.loaded_bytes)
    assert engine.transfer.loaded_s > before.loaded_s
    new_salts = count()
    while engine.transfer.computed_s == before.computed_s:
        await engine.ask(1, salt=f"new-{next(new_salts)}")
    assert engine.transfer.computed_bytes > before.computed_bytes


async def test_a_pinned_agent_outlasts_nearer_ones(engine: RealEngine) -> None:
    await learned(engine, 1, 2)
    await engine.push({1: 90.0, 2: 5.0, 3: 1.0, 4: 1.0})
    await engine.move(Verb.PIN, 1)
    await learned(engine, 3, 4)
    await engine.until(lambda: engine.state[2].device == 0)
    assert engine.state[1].device >= FOUND


async def test_what_runs_is_not_moved(engine: RealEngine) -> None:
    expected = (await learned(engine, 1))[1]
    await engine.until(lambda: not engine.state[1].in_use)
    refused = engine.transfer.refused
    running = asyncio.ensure_future(engine.ask(1, tokens=200))
    await engine.until(lambda: engine.state[1].in_use)
    await engine.move(Verb.DEMOTE, 1, tier=Tier.HOST)
    await engine.move(Verb.DROP, 1)
    answer = await running
    assert answer.tokens[: len(expected)] == expected
    await engine.until(lambda: engine.transfer.refused > refused and not engine.state[1].in_use)
    assert engine.state[1].device >= FOUND


async def test_loads_under_way_never_starve_a_running_request(engine: RealEngine) -> None:
    small, room = range(100, 130), ROOM * (PREFIX_TOKENS + 64)
    for agent in (*small, *small):
        await engine.ask(agent, length=16)
    await engine.push(dict.fromkeys(small, 0.0))
    running = asyncio.ensure_future(engine.ask(99, tokens=room - PREFIX_TOKENS - 64))
    while not running.done():
        for verb, tier in ((Verb.DEMOTE, Tier.HOST), (Verb.PREFETCH, Tier.DEVICE)):
            await engine.move(verb, *small, tier=tier)
            await asyncio.wait([running], timeout=A_FEW_PASSES_S)
    assert len((await running).tokens) == room - PREFIX_TOKENS - 64
    await engine.push(dict.fromkeys(small, inf))


async def test_a_farther_agent_displaces_nobody(engine: RealEngine) -> None:
    await learned(engine, 1, 2, 3, 4)
    await engine.until(lambda: engine.state[1].device == 0)
    await engine.push({1: 9.0, 2: 1.0, 3: 2.0, 4: 3.0})
    refused = engine.transfer.refused
    await engine.move(Verb.PREFETCH, 1)
    await engine.ask(4)
    await engine.until(lambda: engine.transfer.refused > refused)
    assert engine.state[1].device == 0


async def test_unknown_agents_are_refused(engine: RealEngine) -> None:
    refused = engine.transfer.refused
    for verb in (Verb.PIN, Verb.UNPIN):
        await engine.move(verb, 777)
    for nth, verb in enumerate((Verb.PREFETCH, Verb.DEMOTE, Verb.DROP), start=1):
        await engine.move(verb, 777)
        await engine.until(lambda nth=nth: engine.transfer.refused == refused + nth)


async def test_requests_without_identity_are_served(engine: RealEngine) -> None:
    expected = (await learned(engine, 1))[1]
    assert (await engine.ask(1, known=False)).tokens == expected
    strange = {"protocol_version": "9", "message_id": "m", "actions": []}
    for payload in ({}, {"key": "x"}, {"key": None, "next_use": "soon"}):
        action = {"action_id": "0", "action_type": "scalesim.agent", "action_version": "1"}
        strange["actions"] = [{**action, "payload": payload}]
        request = await engine.ask(1, known=False)
        assert request.tokens == expected


async def test_tenants_share_no_cache(engine: RealEngine) -> None:
    await learned(engine, 1)
    other = await engine.ask(1, salt="another tenant")
    assert (other.device, other.host) == (0, 0)


async def test_fifty_requests_at_once_are_all_answered(engine: RealEngine) -> None:
    answers = await asyncio.gather(*(engine.ask(agent % 10) for agent in range(50)))
    by_agent: dict[int, set[tuple[int, ...]]] = {}
    for agent, answer in enumerate(answers):
        by_agent.setdefault(agent % 10, set()).add(tuple(answer.tokens))
    assert [len(answers) for answers in by_agent.values()] == [1] * 10


async def test_random_directives_never_change_tokens(engine: RealEngine) -> None:
    """Prefetch, demote, drop, pin and distances, sent while requests run, in 120 random steps."""
    rng = random.Random(0)
    agents = range(8)
    expected = await learned(engine, *agents)
    running: set[asyncio.Future] = set()
    issued = engine.transfer.issued

    async def check(agent: int) -> None:
        assert (await engine.ask(agent)).tokens == expected[agent]

    verbs = [Verb.PREFETCH] * 6 + [Verb.DEMOTE] * 3 + [Verb.DROP, Verb.PIN, Verb.UNPIN]
    for _ in range(120):
        some = rng.sample(agents, rng.randint(1, 4))
        if rng.random() < 0.5:
            await engine.push({agent: rng.choice([0.0, 1.0, 3.0, inf]) for agent in some})
        verb = rng.choice(verbs)
        await engine.move(verb, *some, tier=Tier.HOST if verb == Verb.DEMOTE else Tier.DEVICE)
        running.add(asyncio.ensure_future(check(rng.choice(agents))))
        if len(running) == 3:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*running)
    assert engine.transfer.issued > issued + 5


async def test_the_self_check_refuses_an_unhooked_engine(engine: RealEngine) -> None:
    from scalesim.deployments.engine.sglang import hooks
    from scalesim.errors import EngineMismatchError

    class Unhooked:
        tree_cache = object()

    with pytest.raises(EngineMismatchError, match="radix cache is a object"):
        hooks.self_check(Unhooked())


async def test_directives_alone_wake_an_idle_scheduler(engine: RealEngine, tmp_path: Path) -> None:
    from sglang.srt.managers.scheduler_components.idle_sleeper import IdleSleeper

    from scalesim.deployments.engine.sglang.hooks import wake_on

    address = f"ipc://{tmp_path}/channel"
    replica, scheduler = ReplicaEnd(address), SchedulerEnd(address)
    sleeper = IdleSleeper([])
    try:
        wake_on(SimpleNamespace(idle_sleeper=sleeper), scheduler.socket, lambda: False)
        assert not sleeper.poller.poll(0)
        await replica.send(Directives(1, 1))
        assert sleeper.poller.poll(10_000)
        assert len(scheduler.receive()) == 1
        assert not sleeper.poller.poll(0)
    finally:
        scheduler.socket.close(0)
        replica.close()

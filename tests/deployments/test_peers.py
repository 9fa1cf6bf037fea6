"""Several processes of the ingress are one to those who ask: losses, traces, figures."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scalesim.deployments import peers
from scalesim.deployments.calls import Call
from scalesim.deployments.ingress_metrics import IngressMetrics, exposition
from scalesim.deployments.peers import Answers, Peers, no_peers
from scalesim.deployments.suspects import Loss, RetryDecision, Suspicion, digest
from scalesim.errors import SuspectRequestError
from scalesim.headers import CachedTokens

DEADLY = Call(1, "chat", {"seed": 1}, "salt")


class Processes:
    """Some that run, as Serve knows them; what one asks they all answer."""

    def __init__(self) -> None:
        self.running: dict[str, Peers] = {}
        self.metrics: dict[str, IngressMetrics] = {}
        self.heard: Counter[str] = Counter()
        self.silent = False
        self.failing = ""
        self.unheard = 0
        self.doubted: list[str] = []

    def start(self, name: str) -> Peers:
        self.metrics[name] = IngressMetrics()
        self.running[name] = Peers(
            name, self.metrics[name], self.steps, self.ask, self.doubted.append
        )
        return self.running[name]

    async def steps(self) -> dict[str, int]:
        return {"town": 7}

    async def ask(self, question: str, *more: Any) -> Answers:
        await asyncio.sleep(0)
        if self.silent:
            self.unheard += 1
            return Answers([], of_all=False)
        asked = [one for name, one in self.running.items() if name != self.failing]
        self.unheard += len(asked) < len(self.running)
        given = [one.answer(question, *more) for one in asked]
        self.heard[question] += len(given) == len(self.running)
        return Answers(given, len(given) == len(self.running))


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    made = Processes()
    everybody = [made.start(name) for name in "ab"]
    yield made
    for one in {*everybody, *made.running.values()}:
        for loop in one.loops:
            assert loop.crashes == 0
            await loop.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0)


def refuses(one: Peers) -> bool:
    try:
        one.suspects.check(DEADLY)
    except SuspectRequestError:
        return True
    return False


async def test_what_one_refuses_all_refuse_and_so_does_the_next_in_its_place(
    processes: Processes,
) -> None:
    a, b = processes.running.values()
    assert a.suspects.lost(DEADLY, Suspicion.CAUSE, "r1") is RetryDecision.REFUSE
    await a.spread()
    assert refuses(b)
    del processes.running["a"]
    following = processes.start("c")
    await until(lambda: refuses(following))


async def test_losses_with_two_replicas_count_together_whichever_process_saw_them(
    processes: Processes,
) -> None:
    a, b = processes.running.values()
    assert a.suspects.lost(DEADLY, Suspicion.POSSIBLE, "r1") is RetryDecision.RETRY_ALONE
    await until(lambda: len(b.suspects) == 1)
    assert b.suspects.lost(DEADLY, Suspicion.POSSIBLE, "r2") is RetryDecision.REFUSE
    await until(lambda: refuses(a))


async def test_others_ask_a_replica_that_vanished_from_one_whether_it_is_there(
    processes: Processes,
) -> None:
    a, b = processes.running.values()
    a.suspects.lost(DEADLY, Suspicion.POSSIBLE, "r1")
    a.suspects.lost(DEADLY, Suspicion.UNKNOWN, "r2")
    await until(lambda: b.suspects.vanished(DEADLY) == {"r2"})
    assert processes.doubted == ["r2"]


async def test_what_was_answered_in_the_end_is_suspected_nowhere(processes: Processes) -> None:
    a, b = processes.running.values()
    a.suspects.lost(DEADLY, Suspicion.POSSIBLE, "r1")
    await until(lambda: len(b.suspects) == 1)
    b.suspects.answered(DEADLY)
    await until(lambda: len(a.suspects) == 0)


async def test_what_others_did_not_hear_comes_again(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "AGAIN_S", 0.0)
    a, b = processes.running.values()
    processes.silent = True
    a.suspects.lost(DEADLY, Suspicion.CAUSE, "r1")
    following = processes.start("c")
    await until(lambda: processes.unheard > 3)
    assert not refuses(b)
    assert not refuses(following)
    processes.silent = False
    await until(lambda: refuses(b) and refuses(following))


async def test_one_that_fails_to_answer_is_told_again_and_the_others_once(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "AGAIN_S", 0.0)
    a, b = processes.running.values()
    c = processes.start("c")
    await until(lambda: processes.heard["suspects"] == len("abc"))
    processes.failing = "b"
    a.suspects.lost(DEADLY, Suspicion.POSSIBLE, "r1")
    await until(lambda: len(c.suspects) == 1 and processes.unheard > 3)
    c.suspects.learn([Loss(digest(DEADLY), Suspicion.INNOCENT, "")])
    unheard = processes.unheard
    await until(lambda: processes.unheard > unheard + 3)
    assert len(c.suspects) == 0
    assert len(b.suspects) == 0
    processes.failing = ""
    await until(lambda: len(b.suspects) == 1)


async def test_its_own_news_comes_back_too_late_to_count(processes: Processes) -> None:
    a, _ = processes.running.values()
    a.suspects.lost(DEADLY, Suspicion.UNKNOWN, "r1")
    a.suspects.answered(DEADLY)
    a.answer("losses", "a", 1, [Loss(digest(DEADLY), Suspicion.UNKNOWN, "r1")])
    assert len(a.suspects) == 0


async def test_a_listener_hears_what_each_process_answers_once(processes: Processes) -> None:
    a, b = processes.running.values()
    feed = a.recorder.listen("town")
    assert await anext(feed) == "\n"
    for one, agent in ((b, "bob"), (a, "ann"), (b, "eve")):
        one.recorder.emit("town", agent, CachedTokens(800), 16, 0.5)
    b.recorder.emit("city", "nobody listens", CachedTokens(1), 1, 0.1)
    await a.collect()
    await a.collect()
    heard = [json.loads(await anext(feed)) for _ in range(3)]
    assert sorted(event["agent"] for event in heard) == ["ann", "bob", "eve"]
    processes.silent = True  # one hangs: what was answered meanwhile comes later
    b.recorder.emit("town", "dan", CachedTokens(1), 1, 0.1)
    await a.collect()
    processes.silent = False
    async with asyncio.timeout(30):
        event = json.loads(await anext(feed))
    assert (event["agent"], event["step"]) == ("dan", 7)
    await feed.aclose()
    await until(lambda: not b.recorder.kept_for)


async def test_metrics_are_of_all_processes_each_under_its_name(processes: Processes) -> None:
    a, _ = processes.running.values()
    processes.metrics["a"].answered("town", CachedTokens(10), 200, 1.0)
    processes.metrics["b"].answered("town", CachedTokens(20), 200, 1.0)
    (tokens,) = (
        family
        for family in text_string_to_metric_families(exposition(await a.figures()))
        if family.name == "scalesim_prompt_tokens"
    )
    missed = {s.labels["ingress"]: s.value for s in tokens.samples if s.labels["found"] == "miss"}
    assert {name: n for name, n in missed.items() if n} == {"a": 10, "b": 20}
    processes.silent = True
    assert [name for name, _ in await a.figures()] == ["a"]


async def test_one_alone_has_its_own_figures_and_records_its_own_requests() -> None:
    async def steps() -> dict[str, int]:
        return {}

    alone = Peers("a", IngressMetrics(), steps, no_peers)
    assert [name for name, _ in await alone.figures()] == ["a"]
    feed = alone.recorder.listen("town")
    await anext(feed)
    alone.recorder.emit("town", "bob", CachedTokens(1), 1, 0.1)
    assert json.loads(await anext(feed))["agent"] == "bob"
    await feed.aclose()
    for loop in alone.loops:
        await loop.stop()

"""Crowds of a small society against a fake stack."""

import asyncio

import numpy as np
import pytest

from scalesim.settings import ClientSettings
from scalesim.simulations.call_table import CallTable, joined
from scalesim.simulations.load_generator import LoadGenerator, Target
from scalesim.simulations.society import society
from scalesim.simulations.summary import prefix_tokens
from scalesim.simulations.workload import PromptSize, Workload
from tests.support.fake_stack import FakeStack

SIZE = PromptSize(private=64, observation=8, output=4)


@pytest.fixture
def workload() -> Workload:
    return society(agents=10, steps=4, active=0.3, size=SIZE, seed=1)


def run(workload: Workload, stack: FakeStack, *, hints: bool, slices: int = 2) -> list[CallTable]:
    """Return the calls of each step, the warm-up first."""
    client = ClientSettings(base_url=stack.base_url) if hints else None
    target = Target(stack.base_url, "scalesim", client)

    async def steps() -> list[CallTable]:
        generators = [LoadGenerator(workload, (part, slices), target) for part in range(slices)]
        done = [
            joined(await asyncio.gather(*(generator.act(step, 8) for generator in generators)))
            for step in range(workload.steps + 1)
        ]
        for generator in generators:
            await generator.close()
        return done

    return asyncio.run(steps())


def test_every_agent_warms_up_and_then_the_scheduled_ones_call(workload: Workload) -> None:
    with FakeStack() as stack:
        warmup, *steps = run(workload, stack, hints=False)
    assert sorted(warmup.rows["agent"]) == list(range(10))
    for number, calls in enumerate(steps, start=1):
        assert sorted(calls.rows["agent"]) == sorted(workload.schedule.calls(number))
        assert calls.failed == 0
    assert stack.received == []


def test_prompts_do_not_depend_on_how_agents_are_spread(workload: Workload) -> None:
    with FakeStack() as stack:
        one = joined(run(workload, stack, hints=False, slices=1))
        three = joined(run(workload, stack, hints=True, slices=3))
    assert one.tokens_sha256() == three.tokens_sha256()


def test_hash_changes_with_one_answer(workload: Workload) -> None:
    with FakeStack() as stack:
        calls = joined(run(workload, stack, hints=False))
    changed = calls._replace(texts=[*calls.texts[:-1], calls.texts[-1] + "x"])
    assert calls.tokens_sha256() != changed.tokens_sha256()


def test_next_use_is_sent_for_every_call(workload: Workload) -> None:
    with FakeStack() as stack:
        run(workload, stack, hints=True)
    reported = {
        agent: body["epoch"] + distance
        for path, body in stack.received
        for agent, distance in zip(body["ids"], body["distances"], strict=True)
    }
    assert reported == dict(zip(workload.agents, workload.schedule.next_use(4), strict=True))


def test_a_failed_call_is_counted_with_its_reason(workload: Workload) -> None:
    with FakeStack() as stack:
        stack.errors = [(503, "all replicas are busy")]
        warmup, *_ = run(workload, stack, hints=False)
    assert warmup.failed == 1
    assert any("503" in error and "busy" in error for error in warmup.errors)


def test_a_stack_that_is_gone_fails_calls_and_not_the_simulation(workload: Workload) -> None:
    with FakeStack() as stack:
        pass
    calls = joined(run(workload, stack, hints=True))
    assert calls.failed == len(calls.texts)
    assert all("Connect" in error for error in calls.errors)


def test_found_tokens_are_counted_up_to_the_private_prefix(workload: Workload) -> None:
    with FakeStack() as stack:
        stack.found = "prompt=80, device=48, host=32, storage=8"
        warmup, *_ = run(workload, stack, hints=False)
    assert prefix_tokens(warmup, SIZE.private) == {
        "total": 640, "device": 480, "host": 160, "storage": 0, "recomputed": 0,
    }  # fmt: skip


def test_the_last_call_of_a_step_says_how_far_the_next_is(workload: Workload) -> None:
    def ahead(*, hints: bool) -> dict[str, list[float]]:
        """Steps to the next call that came with the calls, by agent."""
        with FakeStack() as stack:
            run(workload, stack, hints=hints)
        said: dict[str, list[float]] = {}
        for given in stack.headers:
            if "X-Agent-Next-Use" in given:
                said.setdefault(given["X-Agent-Id"], []).append(float(given["X-Agent-Next-Use"]))
        return said

    schedule = workload.schedule
    expected: dict[str, list[float]] = {}
    for step in range(workload.steps + 1):
        for row in schedule.active(step).tolist():
            steps = float(schedule.next_use(step)[row]) - step
            if np.isfinite(steps):
                expected.setdefault(workload.agents[row], []).append(steps)
    assert ahead(hints=True) == expected
    assert ahead(hints=False) == {}

"""A small society as a World: who calls when, what is said of it, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalesim.settings import ClientSettings, ControllerSettings
from scalesim.simulations.arm_run import Run, RunOptions, WatchStep
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.scheduled_world import scheduled
from scalesim.simulations.society import society
from scalesim.simulations.summary import prefix_tokens
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize, Workload
from tests.support.fake_stack import FakeStack

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_local")]

SIZE = PromptSize(private=64, observation=8, output=4)
NO_ACTOR = ControllerSettings(name="no-such-controller")


@pytest.fixture
def workload() -> Workload:
    return society(agents=10, steps=4, active=0.3, size=SIZE, seed=1)


def run(
    workload: Workload,
    stack: FakeStack,
    folder: Path,
    *,
    hints: bool = False,
    workers: int = 2,
    watch: WatchStep = lambda *_: None,
) -> Run:
    client = ClientSettings(base_url=stack.base_url, controller=NO_ACTOR) if hints else None
    target = Target(stack.base_url, "scalesim", client)
    options = RunOptions(workers=workers, concurrency=4, think_s=0.01)
    return scheduled(workload)(target, options, watch, folder)


def test_every_agent_warms_up_and_then_the_scheduled_ones_call(
    workload: Workload, tmp_path: Path
) -> None:
    seen: list[tuple[int, list[int]]] = []

    def watch(step: int, calls: CallTable) -> None:
        seen.append((step, sorted(calls.rows["agent"].tolist())))

    with FakeStack() as stack:
        ran = run(workload, stack, tmp_path, watch=watch)
    schedule = workload.schedule
    assert seen == [(step, sorted(schedule.calls(step).tolist())) for step in range(5)]
    assert (len(ran.warmup.texts), len(ran.calls.texts), ran.calls.failed) == (10, 12, 0)
    assert stack.received == []
    assert ran.think_s == pytest.approx(0.04)
    assert ran.busy_s == pytest.approx(ran.step_s.sum()) != 0


def test_texts_do_not_depend_on_how_agents_are_spread_or_on_hints(
    workload: Workload, tmp_path: Path
) -> None:
    with FakeStack() as stack:
        one = run(workload, stack, tmp_path / "one", workers=1)
        three = run(workload, stack, tmp_path / "three", workers=3, hints=True)
    assert one.calls.tokens_sha256() == three.calls.tokens_sha256()
    changed = one.calls._replace(texts=[*one.calls.texts[:-1], one.calls.texts[-1] + "x"])
    assert changed.tokens_sha256() != one.calls.tokens_sha256()


def test_the_next_use_of_each_agent_is_known_in_the_end(workload: Workload, tmp_path: Path) -> None:
    with FakeStack() as stack:
        ran = run(workload, stack, tmp_path, hints=True)
    reported = {
        agent: body["epoch"] + distance
        for path, body in stack.received
        if "distances" in body
        for agent, distance in zip(body["ids"], body["distances"], strict=True)
    }
    assert reported == dict(zip(workload.agents, workload.schedule.next_use(4), strict=True))
    assert ran.hints.sent == sum(len(b["ids"]) for _, b in stack.received if "distances" in b)
    assert ran.hints.dropped == 0


def test_a_failed_call_is_counted_with_its_reason(workload: Workload, tmp_path: Path) -> None:
    with FakeStack() as stack:
        stack.errors = [(503, "all replicas are busy")]
        ran = run(workload, stack, tmp_path)
    assert (ran.warmup.failed, ran.calls.failed) == (1, 0)
    assert any("503" in error and "busy" in error for error in ran.warmup.errors)


def test_a_stack_that_is_gone_fails_calls_and_not_the_simulation(
    workload: Workload, tmp_path: Path
) -> None:
    with FakeStack() as stack:
        pass
    ran = run(workload, stack, tmp_path, hints=True)
    assert ran.calls.failed == len(ran.calls.texts) == 12
    assert all("Connect" in error for error in ran.calls.errors)


def test_found_tokens_are_counted_up_to_the_private_prefix(
    workload: Workload, tmp_path: Path
) -> None:
    with FakeStack() as stack:
        stack.found = "prompt=80, device=48, host=32, storage=8"
        ran = run(workload, stack, tmp_path)
    assert prefix_tokens(ran.warmup, SIZE.private) == {
        "total": 640, "device": 480, "host": 160, "storage": 0, "recomputed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("hints", [True, False])
def test_the_last_call_of_a_step_says_how_far_the_next_is(
    workload: Workload, tmp_path: Path, hints: bool
) -> None:
    with FakeStack() as stack:
        run(workload, stack, tmp_path, hints=hints)
    said: dict[str, list[float]] = {}
    steps_said = [int(given["X-Agent-Step"]) for given in stack.headers if "X-Agent-Step" in given]
    assert set(steps_said) == (set(range(1, workload.steps + 1)) if hints else set())
    for given in stack.headers:
        if "X-Agent-Next-Use" in given:
            said.setdefault(given["X-Agent-Id"], []).append(float(given["X-Agent-Next-Use"]))
    schedule = workload.schedule
    expected: dict[str, list[float]] = {}
    for step in range(1, workload.steps + 1):
        for row in schedule.active(step).tolist():
            steps = float(schedule.next_use(step)[row]) - step
            if np.isfinite(steps):
                expected.setdefault(workload.agents[row], []).append(steps)
    assert said == (expected if hints else {})


def test_a_run_that_died_goes_on_after_its_last_step(workload: Workload, tmp_path: Path) -> None:
    def die_in_third(step: int, calls: CallTable) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with FakeStack() as stack:
        whole = run(workload, stack, tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            run(workload, stack, tmp_path / "died", watch=die_in_third)
        seen: list[int] = []
        ran = run(workload, stack, tmp_path / "died", watch=lambda step, _: seen.append(step))
    assert seen == [0, 4]
    assert ran.resumed_after == 3
    assert ran.step_s.size == 4
    assert ran.calls.by_call() == whole.calls.by_call()

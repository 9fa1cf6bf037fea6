"""The step barrier with real Ray workers against a fake stack."""

from pathlib import Path

import pytest

from scalesim.settings import ClientSettings, ControllerSettings
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.checkpoint import Checkpoint
from scalesim.simulations.coordinator import RunOptions, drive
from scalesim.simulations.load_generator import Target
from tests.support.fake_stack import FakeStack
from tests.support.simulation_runs import small_society

pytestmark = pytest.mark.ray

RUN_OPTIONS = RunOptions(workers=2, concurrency=4, think_s=0.01)
NO_ACTOR = ControllerSettings(name="no-such-controller")


def test_workers_meet_at_the_barrier_and_hints_arrive(ray_local: None, tmp_path: Path) -> None:
    workload = small_society()
    seen: list[tuple[int, int]] = []

    def watch(step: int, calls: CallTable) -> None:
        seen.append((step, len(calls.texts)))

    with FakeStack() as stack:
        client = ClientSettings(base_url=stack.base_url, controller=NO_ACTOR)
        target = Target(stack.base_url, "scalesim", client)
        run = drive(workload, target, RUN_OPTIONS, watch, Checkpoint(tmp_path))
    assert seen == [(0, 5), (1, 2), (2, 2)]
    assert (len(run.warmup.texts), len(run.calls.texts), run.calls.failed) == (5, 4, 0)
    assert run.think_s == pytest.approx(0.02)
    assert run.busy_s == pytest.approx(run.step_s.sum()) != 0
    assert len(stack.calls) == 9
    assert {body["epoch"] for _, body in stack.received} == {0, 1, 2}
    assert run.hints.sent == sum(len(body["ids"]) for _, body in stack.received)
    assert run.hints.dropped == 0


def test_a_run_that_died_goes_on_after_its_last_step(ray_local: None, tmp_path: Path) -> None:
    workload = small_society(steps=4)
    checkpoint = Checkpoint(tmp_path)

    def die_in_third(step: int, calls: CallTable) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with FakeStack() as stack:
        target = Target(stack.base_url, "scalesim", None)
        whole = drive(
            workload, target, RUN_OPTIONS, lambda *_: None, Checkpoint(tmp_path / "other")
        )
        with pytest.raises(KeyboardInterrupt):
            drive(workload, target, RUN_OPTIONS, die_in_third, checkpoint)
        seen: list[int] = []
        run = drive(workload, target, RUN_OPTIONS, lambda step, _: seen.append(step), checkpoint)
    assert seen == [0, 3, 4]
    assert run.resumed_after == 2
    assert run.step_s.size == 4
    assert run.calls.by_call() == whole.calls.by_call()

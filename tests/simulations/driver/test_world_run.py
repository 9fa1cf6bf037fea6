"""A reference World against a stack: calls, distances, report and transcript."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scalesim.me import ModelReply
from scalesim.settings import ClientSettings, ControllerSettings
from scalesim.simulation import Simulation
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine, ArmOutcome
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.comparison import document
from scalesim.simulations.driver.asked_model import MakeServedModel
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.forecast import Forecast
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.transcript import transcript
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_arms import drive_of
from scalesim.simulations.driver.world_files import REFERENCE, load_world
from scalesim.simulations.driver.world_run import WorldRun, run_world
from scalesim.simulations.report import write_report
from scalesim.simulations.workload import PromptSize
from tests.support.fake_stack import FakeStack

STEPS = 8
NO_ACTOR = ControllerSettings(name="no-such-controller")


def model_of(row: int) -> str:
    return "scalesim"


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCE)
def test_a_reference_world_says_something_and_is_reported(name: str, tmp_path: Path) -> None:
    world = load_world(name, 12, 1)
    options = DriveOptions(STEPS)
    seen: list[tuple[int, int]] = []

    def watch(step: int, calls: CallTable) -> None:
        seen.append((step, len(calls.texts)))

    with FakeStack() as stack:
        model = MakeServedModel(stack.base_url, name, model_of)
        client = ClientSettings(base_url=stack.base_url, controller=NO_ACTOR)

        def pool() -> LocalPool:
            return LocalPool(TurnRunner(world, model(), name, STEPS + 1))

        run = asyncio.run(
            run_world(
                WorldRun(world, options, name, tmp_path / "run"),
                model,
                pool,
                Forecast(world, Roster(world), Simulation(name, settings=client)),
                watch,
            )
        )
    assert sum(calls for _, calls in seen) == len(run.calls.texts) == len(stack.calls) > 0
    assert run.calls.failed == 0
    assert {agent for agent, _ in stack.calls} <= set(map(str, world.agents()))
    assert {body["epoch"] for path, body in stack.received if "distances" in path} != {0}
    assert run.hints.failed == run.hints.dropped == 0
    workload = drive_of(world, name, STEPS, PromptSize()).workload
    outcomes = {"scalesim": ArmOutcome(run, {})}
    said = list(transcript(run, workload))
    assert said[0].startswith("step ")
    assert sum(line.startswith("  ") for line in said) == len(run.calls.texts)
    write_report(
        tmp_path,
        document(outcomes, workload),  # type: ignore[arg-type]
        outcomes,  # type: ignore[arg-type]
        workload,
        ArmMachine(tmp_path / "model"),
        RunOptions(think_s=0.0),
        said,
    )
    assert said[1].strip() in (tmp_path / "report.html").read_text()


def test_a_reply_is_text_and_more() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "move", "arguments": "{}"}}
    reply = ModelReply('{"to": 3}', {"content": '{"to": 3}', "tool_calls": [call]}, {"x": 1})
    assert reply == '{"to": 3}'
    assert reply.json() == {"to": 3}
    assert reply.tool_calls == [call]
    assert ModelReply("hi").tool_calls == ()

"""Runs a workload in several arms, one after the other, and sets them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalesim.errors import ScaleSimError
from scalesim.settings import Arm
from scalesim.simulations.arm_run import Drive, RunOptions
from scalesim.simulations.arms import ArmMachine, ArmOutcome, run_arm
from scalesim.simulations.progress import ArmsProgress
from scalesim.simulations.summary import arm_summary, speedup
from scalesim.simulations.workload import Workload

Outcomes = Mapping[Arm, ArmOutcome]


class TokensDifferError(ScaleSimError):
    """Two arms returned different text for the same prompt: what stays must never show."""

    code = "tokens_differ"


def compare(
    arms: Sequence[Arm],
    drive: Drive,
    machine: ArmMachine,
    run_options: RunOptions,
    kept: Path,
) -> dict[Arm, ArmOutcome]:
    """Run the arms with live progress on standard error; see `run_arm` for what is raised.

    Completed steps are kept in the folder `kept`, for a later run with the same arguments.
    """
    outcomes = {}
    with ArmsProgress(drive.workload) as progress:
        for arm in arms:
            line = progress.arm(arm)
            outcomes[arm] = run_arm(arm, drive, machine, run_options, line, kept / arm)
            line.finish(outcomes[arm].run.busy_s)
    return outcomes


def document(outcomes: Outcomes, workload: Workload, emulated: str = "") -> dict[str, Any]:
    """Return `{"arms": {ARM: figures}, "speedup": {...}, "emulated": GPU}`.

    `emulated` names the GPU whose seconds the figures are in; empty where they are this machine's.

    `found` of an arm is, by kind, the share of calls whose adapter or model was on the device.
    """
    arms: dict[str, Any] = {
        arm: arm_summary(outcome.run, workload) for arm, outcome in outcomes.items()
    }
    for arm, outcome in outcomes.items():
        late, calls = outcome.status.get("late", {}), max(1, arms[arm]["calls"])
        arms[arm]["found"] = {kind: round(1 - count / calls, 4) for kind, count in late.items()}
    return {"arms": arms, "speedup": speedup(arms), "emulated": emulated}


def require_equal_tokens(outcomes: Outcomes, workload: Workload) -> None:
    """Check that every arm returned the same text for every call.

    Raises:
        TokensDifferError: Names the first call that differs and what the arms returned.
    """
    texts = {arm: outcome.run.calls.by_call() for arm, outcome in outcomes.items()}
    (first, expected), *others = texts.items()
    for arm, found in others:
        for call, text in expected.items():
            if found.get(call) != text:
                agent, step, number = call
                raise TokensDifferError(
                    f"{workload.agents[agent]} in step {step}, call {number}: {first} returned "
                    f"{text!r}, {arm} {found.get(call)!r}. Failed calls return nothing: see "
                    "`errors`; otherwise compare the logprobs of the first differing token"
                )

"""`scalesim bench emulated`: arms on an emulated GPU, case by case."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from scalesim.errors import ConfigurationError
from scalesim.simulations.emulated.emulated_case import ARMS, DEFAULT_CASES, MAIN_ARMS, EmulatedCase
from scalesim.simulations.trace import read_recording

Option = typer.Option

TRACE_STEPS = 12
"""Steps of a recorded run; each has a dozen calls and more."""


def emulated(
    gpu: Annotated[str, Option(help="GPU and model: h100, h100:llama-3.1-8b ...")] = "h100",
    arms: Annotated[str, Option(help=f"Some of: {', '.join(ARMS)}")] = ",".join(MAIN_ARMS),
    case: Annotated[
        list[str] | None,
        Option(help="FIELD=VALUE[,VALUE...] of a case, instead of those built in; repeatable"),
    ] = None,
    trace: Annotated[
        Path | None, Option(help="A recorded run besides: JSON lines with `step` and `agent`")
    ] = None,
    seeds: Annotated[int, Option(min=1, help="Runs of each case, with seeds from its own on")] = 1,
    jobs: Annotated[int, Option(min=1, help="Arms played at a time")] = 2,
    calibration: Annotated[
        Path | None, Option(help="JSON file of `benchmarks.gpu` with measured values")
    ] = None,
    out: Annotated[Path | None, Option(help="Folder for JSON, time lines and plots")] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document")] = False,
) -> None:
    """Compare arms on an emulated GPU: the scheduler is real, the seconds are a model's."""
    from scalesim.deployments.engine.emulation.gpu_times import times_of
    from scalesim.policies.capacity.calibration_file import read_calibration
    from scalesim.settings import EmulationSettings
    from scalesim.simulations.emulated.emulated_table import document, print_row, print_table
    from scalesim.simulations.emulated.predicted_step import POLICY_OF, predicted_step_s
    from scalesim.simulations.emulated.runs import runs

    names = arms.split(",")
    if unknown := set(names) - ARMS.keys():
        raise ConfigurationError(
            f"there is no arm {unknown.pop()!r}: use some of {', '.join(ARMS)}"
        )
    cases = list(cases_of(case) if case else DEFAULT_CASES)
    if trace is not None:
        cases.append(case_of(trace))
    cases = [one._replace(seed=one.seed + more) for one in cases for more in range(seeds)]
    emulation = EmulationSettings.of(gpu, 1.0)
    if calibration is not None:
        measured = asdict(read_calibration(calibration))
        emulation = emulation.model_copy(update={"calibration": measured})
    times_of(emulation)  # which may be of no GPU, or of no model: before the first arm starts
    label = f"{emulation.gpu}:{emulation.model}"
    played = []
    with tempfile.TemporaryDirectory(prefix="scalesim-emulated-") as folder:
        for row in runs(cases, names, emulation, Path(folder), jobs):
            played.append(row)
            if not as_json:
                print_row(*row)
    predicted = {
        f"{each.title}, {arm}": predicted_step_s(each, arm, emulation)
        for each in cases[::seeds]
        for arm in POLICY_OF
        if arm in names
    }
    result = document(played, label, predicted)
    if out is not None:
        from scalesim.simulations.emulated.step_plots import write_plots

        out.mkdir(parents=True, exist_ok=True)
        (out / "emulated.json").write_text(json.dumps(result, indent=1) + "\n")
        write_plots(out, played, label)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        print_table(played, label, predicted)


def case_of(trace: Path) -> EmulatedCase:
    """Return a recorded run as a case: its first steps, each call with a short answer.

    Raises:
        InvalidRequestError: The file is not a recording.
    """
    agents, calls = read_recording(trace)
    steps = min(TRACE_STEPS, len(calls))
    return EmulatedCase(
        "trace", agents=len(agents), steps=steps, output=8, think_s=0.0, concurrency=4,
        trace=str(trace),
    )  # fmt: skip


def cases_of(fields: Sequence[str]) -> list[EmulatedCase]:
    """Return every combination of the values that fields are given.

    Raises:
        ConfigurationError: There is no such field, or a value is not of its type.
    """
    values: dict[str, list[Any]] = {}
    for field in fields:
        name, _, listed = field.partition("=")
        if name not in EmulatedCase._fields:
            known = ", ".join(EmulatedCase._fields)
            raise ConfigurationError(f"there is no {name!r} in a case: use some of {known}")
        default = EmulatedCase._field_defaults[name]
        kind = type(default)
        try:
            values[name] = [kind(value) for value in listed.split(",")]
        except ValueError:
            raise ConfigurationError(
                f"--case {field}: expected {kind.__name__}s, as in {name}={default}"
            ) from None
    products = itertools.product(*values.values())
    return [EmulatedCase(**dict(zip(values, each, strict=True))) for each in products]

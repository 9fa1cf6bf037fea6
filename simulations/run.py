"""Runs a reference simulation in several arms and reports: `scalesim sim run society`."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from scalesim.errors import ConfigurationError
from scalesim.settings import Arm
from scalesim.simulations.workload import PromptSize, Workload

ARMS = get_args(Arm)
Option = typer.Option

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def run(
    simulation: Annotated[str, typer.Argument(help="society or trace")],
    agents: Annotated[int | None, Option(help="society: villagers [48]")] = None,
    active: Annotated[float | None, Option(help="society: share acting in a step [0.2]")] = None,
    trace: Annotated[Path | None, Option(help="trace: JSON lines with step and agent")] = None,
    steps: Annotated[int | None, Option(help="Steps [12, or the whole trace]")] = None,
    seed: Annotated[int, Option(help="Of plans, prompts and the built model")] = 0,
    prompt_tokens: Annotated[int, Option(min=1, help="Private tokens an agent")] = 768,
    output_tokens: Annotated[int, Option(min=1, help="Generated a call")] = 8,
    arms: Annotated[str, Option(help="Comma-separated")] = ",".join(ARMS),
    device_share: Annotated[float, Option(help="Device tier, share of all agents' tokens")] = 0.25,
    host_share: Annotated[float, Option(help="Host tier, likewise")] = 1.5,
    storage: Annotated[Path | None, Option(help="Folder of a storage tier, for all agents")] = None,
    adapters: Annotated[str | None, Option(help="LoRA: distinct, or shared:K [none]")] = None,
    models: Annotated[str | None, Option(help="Fine-tunes, --arms scalesim: likewise")] = None,
    replicas: Annotated[int, Option(min=1, help="Engines an arm")] = 1,
    device: Annotated[str, Option(help="auto, cuda or cpu")] = "auto",
    model: Annotated[Path | None, Option(help="Model folder; else a random one is built")] = None,
    workers: Annotated[int, Option(min=1, help="Ray workers the agents are spread over")] = 2,
    concurrency: Annotated[int | None, Option(min=1, help="Calls at once [64; trace 4]")] = None,
    think: Annotated[float, Option(min=0.0, help="Seconds of thought after each step")] = 0.3,
    out: Annotated[
        Path | None, Option(help="Folder for the report; resumes a run that died there")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document")] = False,
) -> None:
    """Run a simulation on real stacks, one arm after the other, and compare them."""
    # Late, so that `--help` and a bad value answer at once.
    from scalesim.simulations.arms import Machine
    from scalesim.simulations.comparison import compare, document, require_equal_tokens
    from scalesim.simulations.coordinator import RunOptions
    from scalesim.simulations.job import cluster_of_job
    from scalesim.simulations.report import print_table, write_report

    names = _arms(arms)
    size = PromptSize(private=prompt_tokens, output=output_tokens)
    workload = _workload(simulation, agents, active, trace, steps, size, seed)
    # A recorded order means something only where few calls run at once.
    at_once = concurrency or (4 if workload.schedule.ordered else 64)
    pace = RunOptions(workers=workers, concurrency=at_once, think_s=think)
    with cluster_of_job(), tempfile.TemporaryDirectory(prefix="scalesim-") as scratch:
        kept = (out or Path(scratch)) / "checkpoint"
        machine = Machine(
            model or _random_model(kept / "model", seed),
            device=device,
            device_share=device_share,
            host_share=host_share,
            replicas=replicas,
            storage=storage,
            adapters=_dealt("adapters", adapters, len(workload.agents)),
            models=_dealt("models", models, len(workload.agents)),
        )
        same = f"{workload.digest} {machine._replace(model_path=model or Path('random'))} {pace}"
        run_name = hashlib.sha256(same.encode()).hexdigest()[:12]
        outcomes = compare(names, workload, machine, pace, kept / run_name)
        result = document(outcomes, workload)
        if out is not None:
            write_report(out, result, outcomes, workload, machine, pace)
        shutil.rmtree(kept)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        print_table(result, out)
    require_equal_tokens(outcomes, workload)


def _arms(text: str) -> list[Arm]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in ARMS:
            raise ConfigurationError(f"there is no arm {name!r}: use some of {', '.join(ARMS)}")
    return cast(list[Arm], names)


def _dealt(option: str, text: str | None, agents: int) -> int:
    """Return how many distinct ones `distinct` or `shared:K` means; 0 where nothing is said."""
    kind, _, shared = (text or "").partition(":")
    if text is None:
        return 0
    if text == "distinct":
        return agents
    if kind == "shared" and shared.isdecimal() and 0 < int(shared) <= agents:
        return int(shared)
    raise ConfigurationError(
        f"--{option} {text} means nothing: use `distinct`, or `shared:K` with K up to {agents}"
    )


def _workload(
    simulation: str,
    agents: int | None,
    active: float | None,
    trace: Path | None,
    steps: int | None,
    size: PromptSize,
    seed: int,
) -> Workload:
    match simulation:
        case "society" if trace is None:
            from scalesim.simulations.society import society

            given: dict[str, Any] = {"agents": agents, "active": active, "steps": steps}
            return society(
                size=size, seed=seed, **{k: v for k, v in given.items() if v is not None}
            )
        case "trace" if trace is not None and agents is None and active is None:
            from scalesim.simulations.trace import recorded

            return recorded(trace, steps=steps, size=size, seed=seed)
        case "society" | "trace":
            raise ConfigurationError(
                "`society` takes --agents and --active but no --trace; `trace` needs --trace FILE "
                "and takes its agents from there"
            )
        case _:
            raise ConfigurationError(f"there is no simulation {simulation!r}: use society or trace")


def _random_model(folder: Path, seed: int) -> Path:
    from scalesim.deployments.random_model import build

    return build(folder, seed=seed)


if __name__ == "__main__":
    app()

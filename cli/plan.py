"""`scalesim plan`: how many GPUs, how much memory and disk a simulation needs. A model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalesim.cli.output import AsJson, print_json
from scalesim.cli.replay import read_trace
from scalesim.cli.what_fits import named_llm
from scalesim.errors import InvalidRequestError

app = typer.Typer(add_completion=False)


@app.command()
def plan(
    trace: Annotated[Path, typer.Option(help="JSON lines with `step` and `agent`.")],
    gpu: Annotated[str, typer.Option(help="GPU: l4, a10g, l40s, a100, h100 or h200.")] = "h100",
    model: Annotated[
        str, typer.Option(help="Model: a name such as llama-3.1-8b, or a folder.")
    ] = "llama-3.1-8b",
    agents: Annotated[
        int | None, typer.Option(help="Agents; as many as in the trace by default.")
    ] = None,
    step_time: Annotated[
        float | None, typer.Option(help="Seconds that a step may take, 95th percentile.")
    ] = None,
    gpus: Annotated[
        int, typer.Option(help="GPUs of the fleet to describe, without --step-time.")
    ] = 1,
    host_gb: Annotated[
        float, typer.Option(help="Host memory for agent state, GB for each GPU.")
    ] = 256.0,
    pause: Annotated[
        float, typer.Option(help="Seconds between steps in which nobody asks.", min=0.0)
    ] = 0.0,
    adapters: Annotated[
        int, typer.Option(help="Distinct LoRA adapters, dealt to the agents in turn.", min=0)
    ] = 0,
    adapter_slots: Annotated[
        int, typer.Option(help="Of them on one GPU at a time, out of its memory for state.")
    ] = 8,
    adapter_mb: Annotated[
        float, typer.Option(help="Size of one; that of rank 64 for an 8B model by default.")
    ] = 336.0,
    policy: Annotated[
        str, typer.Option(help="Eviction orders, comma-separated.")
    ] = "lru,kvflow,distance,oracle",
    hints: Annotated[
        str,
        typer.Option(help="Distances: reported (from the trace), learned, none, or noisy:SIGMA."),
    ] = "reported",
    calibration: Annotated[
        Path | None, typer.Option(help="JSON file with measured values of `Calibration`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Size a fleet from a trace. The answer is a model, not a measurement."""
    from scalesim.policies.capacity.calibration_file import read_calibration
    from scalesim.policies.capacity.fleet import FleetQuestion, capacity_plan
    from scalesim.policies.capacity.hardware import GPUS, LLMS
    from scalesim.policies.capacity.roofline import RooflineEngine
    from scalesim.settings import EngineSettings

    requests = read_trace(trace)
    llm = named_llm(EngineSettings(model_path=model)) or _choose(LLMS, model, "model")
    engine = RooflineEngine(_choose(GPUS, gpu, "gpu"), llm, read_calibration(calibration))
    many = len(requests.names) if agents is None else agents
    question = FleetQuestion(
        many, step_time, gpus, host_gb * 1e9, pause, adapters, adapter_slots, adapter_mb * 1e6
    )
    names = [name.strip() for name in policy.split(",") if name.strip()]
    report = {"gpu": gpu, "model": model} | capacity_plan(requests, engine, question, names, hints)
    if as_json:
        print_json(report)
    else:
        _print_table(report)


def _choose(choices: dict[str, Any], name: str, field: str) -> Any:
    if name not in choices:
        raise InvalidRequestError(
            f"there is no {field} {name!r}: choose one of {', '.join(choices)}", field
        )
    return choices[name]


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{report['agents']} agents, {report['state_bytes'] / 1e9:.0f} GB of state, "
        f"{report['model']} on {report['gpu']}",
        caption=report["note"],
    )
    for column in ("policy", "GPUs", "step p50 s", "p95 s", "stall", "hits", "host GB", "disk GB"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for name, row in report["policies"].items():
        table.add_row(
            name,
            str(row["gpus"] or "too many"),
            f"{row['step_s']['p50']:.3g}",
            f"{row['step_s']['p95']:.3g}",
            f"{row['stall_share']:.1%}",
            f"{row['hit_ratio']:.1%}",
            f"{row['host_bytes'] / 1e9:.0f}",
            f"{row['storage_bytes'] / 1e9:.0f}",
        )
    Console().print(table)

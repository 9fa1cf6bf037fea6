"""`scalesim bench`: the control plane on this machine, and arms on an emulated GPU; needs none."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scalesim.cli.output import AsJson, print_json
from scalesim.simulations.emulated.command import emulated

app = typer.Typer(add_completion=False)
app.command("emulated")(emulated)


@app.callback()
def _group() -> None:
    """Measure the control plane on this machine; compare arms on an emulated GPU."""


@app.command("control-plane")
def control_plane(
    agents: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    replicas: Annotated[int, typer.Option(min=1, max=4096)] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Simulation steps to plan for.")] = 20,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    engines: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=256,
            help="Also so many busy engines' updates over Ray, a minute; repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Drive the real controller: reports of 10k agents, then a plan of every replica, each step.

    With --engines the controller is an actor too, and its peer one that does nothing: that many
    engines of 1,000 agents, 100 passes a second each, tell it what changed, by real Ray calls.
    """
    from scalesim.cli.controller_load import measure

    report = measure(agents, replicas, rounds, seed)
    report["engines"] = _updates(engines) if engines else []
    if as_json:
        print_json(report)
        return
    plan_s = report["plan_s"]
    typer.echo(f"{agents} agents on {replicas} replicas, {rounds} steps")
    typer.echo(f"updates        {report['updates_per_s'] / 1e6:.1f} M/s")
    typer.echo(f"plan of all    {plan_s['p50'] * 1e3:.0f} ms p50, {plan_s['p99'] * 1e3:.0f} ms p99")
    typer.echo(
        f"               {report['plan_over_argpartition']:.1f} x one np.argpartition of all "
        f"distances ({report['argpartition_s'] * 1e3:.1f} ms)"
    )
    typer.echo(f"memory         {report['bytes_per_agent']:.0f} bytes an agent")
    for row in report["engines"]:
        typer.echo(f"over Ray       {row['line']}")


def _updates(engines: list[int]) -> list[dict[str, Any]]:
    import ray

    from scalesim.cli.replica_load import measure_updates
    from scalesim.deployments import cluster
    from scalesim.deployments.run_folder import RAY_FITS, RunFolder

    with RunFolder(RAY_FITS) as folder:
        folder.guard()
        cluster.start(folder)
        try:
            return list(measure_updates(engines))
        finally:
            ray.shutdown()

"""`scalesim down`: the end of a stack on a Ray cluster whose own process is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalesim.cli.output import AsJson, print_json
from scalesim.cli.up import read_config

app = typer.Typer()

Option = typer.Option


@app.command()
def down(
    address: Annotated[str, Option(help="The Ray cluster, HOST:PORT or `auto`")] = "auto",
    config: Annotated[
        Path | None, Option(help="The stack's YAML file, where it names its controller")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End the stack on a Ray cluster: its engines drain, its controller writes what it knows.

    Ctrl-C in `scalesim up` does this by itself. Other applications of the cluster go on.
    """
    import ray

    from scalesim.deployments import cluster
    from scalesim.deployments.stack import remove
    from scalesim.settings import ControllerSettings, load

    values = (read_config(config) if config else {}).get("controller") or {}
    controller: ControllerSettings = load(ControllerSettings, values)
    cluster.join(address, {})
    try:
        ended = remove(controller)
    finally:
        ray.shutdown()
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo("the stack has ended" if ended else "there was no stack")

"""`scalesim sim end`: what a simulation reported is forgotten."""

from __future__ import annotations

from typing import Annotated

import typer

from scalesim.cli.running_stack import BaseUrl, stack_at
from scalesim.identity import check_simulation


def end(
    name: Annotated[str, typer.Argument(help="Name of the simulation")],
    base_url: BaseUrl = None,
) -> None:
    """End a simulation in the stack: its distances and pins go, its steps may start over."""
    check_simulation(name)
    with stack_at(base_url) as stack:
        stack.end(name)
    typer.echo(f"{name} has ended: the next report may be of any step")

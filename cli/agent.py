"""`scalesim agent`: where one agent is and when it is due."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scalesim.cli.output import WARMTH, AsJson, mebibytes, print_json
from scalesim.cli.running_stack import BaseUrl, stack_at
from scalesim.identity import DEFAULT_SIMULATION, check_agent, check_simulation

app = typer.Typer()


@app.command()
def agent(
    name: Annotated[str, typer.Argument(metavar="ID", help="Agent id")],
    simulation: Annotated[str, typer.Option(help="Simulation of the agent")] = DEFAULT_SIMULATION,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show where an agent's state is and when it is due; the key is taken from SCALESIM_API_KEY."""
    with stack_at(base_url) as stack:
        known = stack.agent(check_simulation(simulation), check_agent(name))
    if as_json:
        print_json(known)
    else:
        _show(name, known)


def _show(name: str, known: dict[str, Any]) -> None:
    from rich.console import Console

    tier, distance = known["residency"], known["distance"]
    due = "nothing foreseen" if distance is None else f"distance {distance:g}, in steps"
    flags = [flag for flag in ("in_use", "pinned") if known[flag]]
    lines = {
        "agent": f"{name} of {known['simulation']}",
        "replica": known["replica"] or "none",
        "state": f"{tier} ({WARMTH[tier]})" if tier in WARMTH else tier,
        "due": due,
        "reported": "never" if known["reported_in"] is None else f"in step {known['reported_in']}",
        **{each: mebibytes(known[f"{each}_bytes"]) for each in ("total", *WARMTH)},
        "flags": ", ".join(flags).replace("_", " ") or "none",
    }
    for label, text in lines.items():
        Console().print(f"[bold]{label:>8}[/]  {text}", highlight=False, soft_wrap=True)

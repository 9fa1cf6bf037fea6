"""Verbs over weights by id: what `scalesim adapter` and `scalesim model` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from scalesim.cli.output import AsJson, print_json

if TYPE_CHECKING:
    from scalesim.deployments.engine.weights_registry import WeightsRegistry

WeightsName = Annotated[str, typer.Argument(help="Id under which requests name it")]
Source = Annotated[Path, typer.Argument(help="Folder as saved, in safetensors")]
Agents = Annotated[
    list[str] | None,
    typer.Option(
        "--agent",
        metavar="SIMULATION/AGENT",
        help="Agent whose requests get it where they name none; may be repeated",
    ),
]
Unassigned = Annotated[
    list[str], typer.Argument(metavar="SIMULATION/AGENT", help="Agents to take it from")
]
Base = Annotated[
    Path | None,
    typer.Option(help="Folder of the stack's model: what does not go with it is refused at once"),
]
Root = Annotated[Path, typer.Option(help="Where they are kept; one of the stack's `roots`")]


def verbs(
    noun: str,
    about: str,
    registry: Callable[[Path, Path | None], WeightsRegistry[Any]],
    facts: tuple[str, ...],
) -> typer.Typer:
    """Return the commands over one kind of weights.

    Args:
        noun: What one is called.
        about: One line of help.
        registry: Opens the registry over a root, for a base model if one is named.
        facts: Attributes of an item that are shown.
    """
    app = typer.Typer(no_args_is_help=True, help=about)

    @app.command()
    def add(
        name: WeightsName,
        source: Source,
        root: Root,
        agents: Agents = None,
        base: Base = None,
        as_json: AsJson = False,
    ) -> None:
        """Check it and copy it into the root; running stacks load it when it is first needed."""
        item = registry(root, base).add(name, source, agents or ())
        values = {fact: getattr(item, fact) for fact in facts}
        if as_json:
            print_json({noun: {"name": item.name, **values, "agents": len(agents or ())}})
            return
        words = ", ".join(f"{fact.replace('_', ' ')} {value}" for fact, value in values.items())
        typer.echo(f"{item.name}: {words}")

    @app.command("list")
    def list_(root: Root, as_json: AsJson = False) -> None:
        """List what may be loaded."""
        kept = registry(root, None)
        agents = kept.agents()
        rows = [
            {
                "name": item.name,
                **{fact: getattr(item, fact) for fact in facts},
                "agents": agents[item.name],
            }
            for item in kept.all()
        ]
        if as_json:
            print_json({f"{noun}s": rows})
            return
        table = Table(noun, *(fact.replace("_", " ") for fact in facts), "agents")
        for row in rows:
            table.add_row(*(f"{v:,}" if isinstance(v, int) else v for v in row.values()))
        Console().print(table)

    @app.command()
    def unassign(agents: Unassigned, root: Root, as_json: AsJson = False) -> None:
        """Take from agents what they were given: their requests get the stack's own model."""
        registry(root, None).unassign(agents)
        if as_json:
            print_json({"unassigned": agents})

    @app.command()
    def remove(name: WeightsName, root: Root, as_json: AsJson = False) -> None:
        """Delete it and take it from its agents; requests that name it are refused."""
        registry(root, None).remove(name)
        if as_json:
            print_json({"removed": name})

    return app

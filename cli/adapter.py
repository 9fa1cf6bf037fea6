"""`scalesim adapter`: which LoRA adapters a stack may load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.output import AsJson, print_json
from scalesim.settings import AdapterSettings, load

if TYPE_CHECKING:
    from deployments.engine.adapters import AdapterShelf

app = typer.Typer(no_args_is_help=True)

Root = Annotated[
    Path, typer.Option(help="Folder of adapters; one of engine.adapters.roots of the stack")
]


@app.callback()
def _group() -> None:
    """LoRA adapters that requests may name as `model:adapter`."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Id under which requests name it")],
    source: Annotated[Path, typer.Argument(help="Folder as PEFT saves it, in safetensors")],
    root: Root,
) -> None:
    """Check an adapter and copy it into the root; running stacks load it when it is first named."""
    adapter = _shelf(root).add(name, source)
    typer.echo(f"{adapter.name}: rank {adapter.rank}, {adapter.size_bytes} bytes")


@app.command("list")
def list_(root: Root, as_json: AsJson = False) -> None:
    """List the adapters that may be loaded."""
    adapters = _shelf(root).all()
    if as_json:
        rows = [{"name": a.name, "rank": a.rank, "bytes": a.size_bytes} for a in adapters]
        print_json({"adapters": rows})
        return
    table = Table("adapter", "rank", "MB")
    for adapter in adapters:
        table.add_row(adapter.name, str(adapter.rank), f"{adapter.size_bytes / 1e6:.1f}")
    Console().print(table)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Its id")], root: Root) -> None:
    """Delete an adapter; engines that loaded it keep it until they restart."""
    _shelf(root).remove(name)


def _shelf(root: Path) -> AdapterShelf:
    from deployments.engine.adapters import AdapterShelf

    settings: AdapterSettings = load(AdapterSettings, {"roots": (str(root),)})
    return AdapterShelf(settings)

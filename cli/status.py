"""`scalesim status`: what a running stack holds and does."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from cli.output import AsJson, print_json

app = typer.Typer()

BaseUrl = Annotated[
    str | None, typer.Option(help="Of the stack [SCALESIM_BASE_URL, else http://127.0.0.1:8080]")
]


@app.command()
def status(base_url: BaseUrl = None, as_json: AsJson = False) -> None:
    """Show what a running stack holds and does; the key is taken from SCALESIM_API_KEY."""
    document = fetch(base_url)
    if as_json:
        print_json(document)
    else:
        _show(document)


def fetch(base_url: str | None) -> dict[str, Any]:
    """Return the status document of the stack at `base_url`, or of the environment's.

    Raises:
        ControllerUnavailableError: Nothing answers there, or it runs without a controller.
        AuthenticationError: SCALESIM_API_KEY is missing or wrong.
    """
    from scalesim.settings import client_from_env
    from scalesim.transports.http import HttpTransport

    settings = client_from_env()
    if base_url is not None:
        settings = settings.model_copy(update={"base_url": base_url})
    with closing(HttpTransport(settings)) as transport:
        return transport.status()


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    for name, value in document.items():
        if name in ("replicas", "simulations"):
            console.print(_table(name, value))
        elif isinstance(value, dict):
            pairs = "  ".join(f"{_text(key, item)} {key}" for key, item in value.items())
            console.print(f"[bold]{name:>12}[/]  {pairs}", highlight=False)
        else:
            console.print(f"[bold]{name:>12}[/]  {_text(name, value)}", highlight=False)


def _table(name: str, entries: dict[str, dict[str, Any]]) -> Any:
    from rich.table import Table

    columns = [
        column
        for column, value in next(iter(entries.values()), {}).items()
        if not isinstance(value, dict)
    ]
    table = Table(name, *columns)
    for entry, values in entries.items():
        table.add_row(entry, *(_text(column, values[column]) for column in columns))
    return table


def _text(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

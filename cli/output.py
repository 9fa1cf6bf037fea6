"""How every verb prints: one JSON document for programs, a short message for people."""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from scalesim.errors import ScaleSimError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

WARMTH = {"device": "hot", "host": "warm", "storage": "cold"}
"""What people call state in each tier."""


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(document, indent=2))


def mebibytes(size: int) -> str:
    """Return bytes as people read them."""
    return f"{size / 2**20:,.{0 if size >= 2**25 else 1}f} MiB"


def fail(error: ScaleSimError, *, as_json: bool, exit_code: int = 1) -> NoReturn:
    """Print what went wrong and leave with the exit code.

    With `as_json` standard output gets `{"error": {"code", "message", "retryable"}}`.
    """
    if as_json:
        print_json(
            {"error": {"code": error.code, "message": str(error), "retryable": error.retryable}}
        )
    else:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
    raise SystemExit(exit_code)

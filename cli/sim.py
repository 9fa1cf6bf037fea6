"""`scalesim sim run`: the reference simulations, arm by arm."""

from __future__ import annotations

import typer

from simulations import run

app = typer.Typer(no_args_is_help=True)
app.command("run")(run.run)


@app.callback()
def _group() -> None:
    """Reference simulations."""

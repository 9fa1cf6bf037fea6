"""`scalesim sim`: the reference simulations, here or as a job of a Ray cluster; ends any."""

from __future__ import annotations

import typer

from scalesim.cli.sim_end import end
from scalesim.cli.submit import PASS_ON, submit
from scalesim.simulations.run_command import run

app = typer.Typer(no_args_is_help=True)
app.command("run")(run)
app.command("end")(end)
app.command("submit", context_settings=PASS_ON)(submit)


@app.callback()
def _group() -> None:
    """Reference simulations, and the end of any."""

"""The `scalesim` command: verbs are loaded by name, when they are called.

A verb is a module of this package that exposes a typer `app`. One whose dependencies are not
installed is still listed, and says what to install when it is called.
"""

from __future__ import annotations

import importlib
import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import scalesim
from scalesim.cli.output import fail
from scalesim.errors import ConfigurationError, InvalidRequestError, ScaleSimError

_UsageError: Any = typer.BadParameter.__base__
"""All that typer says of a command line that is not one of ours."""

_USAGE_EXIT = 2

VERBS = {
    "up": "Start the stack in the foreground.",
    "down": "End the stack on a Ray cluster whose own process is gone.",
    "config": "Print a stack's settings as `serve deploy` takes them.",
    "run": "Run a program whose model calls are served, each as its own agent.",
    "sim": "Run a reference simulation and compare the arms, or end one.",
    "status": "Show what a running stack holds and does.",
    "agent": "Show where one agent is and when it is due.",
    "adapter": "Add, list and remove LoRA adapters.",
    "model": "Add, list and remove fine-tunes of the model.",
    "doctor": "Check that this machine can run the stack.",
    "replay": "Replay an activation trace against eviction orders.",
    "plan": "Size a deployment from a trace.",
    "trace": "Generate, convert or record activation traces.",
    "bench": "Measure the control plane on this machine.",
}


class Verbs(TyperGroup):
    """A command group that imports a verb when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of `VERBS`."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the verb's command, or None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        try:
            app = importlib.import_module(f"scalesim.cli.{cmd_name}").app
        except ImportError as error:
            app = _unavailable(cmd_name, error)
        command = typer.main.get_command(app)
        command.name, command.short_help = cmd_name, VERBS[cmd_name]
        return command


def _unavailable(verb: str, reason: ImportError) -> typer.Typer:
    app = typer.Typer()

    @app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def missing() -> None:
        raise ConfigurationError(
            f"`scalesim {verb}` cannot be loaded: {reason}. It needs more than the client: "
            "pip install 'scalesim-serve[serve,sim]'"
        )

    return app


app = typer.Typer(
    name="scalesim",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Serve large LLM-agent simulations: agent state is kept by invocation distance.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scalesim {scalesim.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Keep the group a group: verbs come from `Verbs`."""


def main() -> None:
    """Run the command line. An error prints one message; exit code 1, or 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a shell without UTF-8 shows what it can
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in sys.argv
    try:
        raise SystemExit(app(standalone_mode=not as_json))
    except ScaleSimError as error:
        fail(error, as_json=as_json)
    except _UsageError as error:
        message = error.format_message().rstrip(".")
        error = InvalidRequestError(f"{message}: see `scalesim --help`")
        fail(error, as_json=as_json, exit_code=_USAGE_EXIT)

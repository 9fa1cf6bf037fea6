"""`scalesim run`: a program as it is, its calls served by a stack, each for its agent."""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from scalesim.cli.program import Program, check_is_there
from scalesim.cli.running_stack import BaseUrl
from scalesim.cli.stack_process import StackProcess, is_up
from scalesim.errors import InvalidRequestError, ScaleSimError, UnavailableError

if TYPE_CHECKING:
    from scalesim.settings import ClientSettings

app = typer.Typer()

Option = typer.Option


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(help="Program with its arguments, after `--`")],
    base_url: BaseUrl = None,
    model: Annotated[
        str | None, Option(help="Model of the stack that is started where none is running")
    ] = None,
    config: Annotated[
        Path | None, Option(help="Settings of the stack that is started where none is running")
    ] = None,
    simulation: Annotated[
        str | None, Option(help="Name of the run [the program's, and four letters]")
    ] = None,
    out: Annotated[
        Path | None, Option(help="Folder for report.json and trace.jsonl [out/SIMULATION]")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", help="Neither progress nor report on screen")] = False,
) -> None:
    """Run a program unchanged: its model calls go to the stack and name the agent they are for.

    Clients find the stack by their own environment variables. The exit code is the program's.
    """
    from scalesim.environment import client_from_env
    from scalesim.identity import check_simulation

    check_is_there(command)
    name = check_simulation(simulation) if simulation else _name(command)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    settings = client_from_env()
    if base_url is not None:
        settings = settings.model_copy(update={"base_url": base_url})
    folder = _made(out or Path("out") / name)
    with ExitStack() as opened:
        if not is_up(settings.base_url):
            if model is None and config is None:
                raise UnavailableError(
                    f"no stack answers at {settings.base_url}: start one with `scalesim up`, set "
                    "SCALESIM_BASE_URL, or give --model to have one for this run"
                )
            stack = opened.enter_context(StackProcess(model, config))
            settings = settings.model_copy(update={"base_url": stack.base_url})
        report = _followed(command, name, settings, folder, console)
    _write(folder / "report.json", report)
    for label, text in _lines(report):
        console.print(f"[bold]{label:>11}[/]  {text}", soft_wrap=True)
    console.print(f"[bold]{'files':>11}[/]  {folder}", soft_wrap=True)
    raise typer.Exit(report["exit_code"])


def _followed(
    command: list[str], name: str, settings: ClientSettings, folder: Path, console: Console
) -> dict[str, Any]:
    """Run the program to its end and return the report."""
    from scalesim.environment import environment_of_program, keys_in_env
    from scalesim.runs import report, stack_counts
    from scalesim.runs.recorder import Recorder
    from scalesim.runs.redaction import redacted
    from scalesim.simulations.progress_lines import ProgressLines
    from scalesim.transports.http import HttpTransport

    before = counts = stack_counts.read(settings)
    program = Program(command, environment_of_program(settings, name))
    with Recorder(settings, name, folder / "trace.jsonl") as recorder:
        progress = ProgressLines(console, lambda: [f"{name}: {recorder.tally.line()}"])
        progress.start()
        begun = time.monotonic()
        try:
            exit_code = program.run()
        finally:
            seconds = time.monotonic() - begun
            progress.stop()
    with suppress(ScaleSimError), closing(HttpTransport(settings)) as transport:
        counts = stack_counts.read(settings)
        transport.end(name)
    return report.document(
        recorder.tally,
        counts.since(before),
        simulation=name,
        command=redacted(command, {*keys_in_env(), settings.api_key.get_secret_value()}),
        exit_code=exit_code,
        base_url=settings.base_url,
        seconds=round(seconds, 3),
        interrupted=recorder.interrupted,
    )


def _lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    from scalesim.runs.report import lines

    return list(lines(report))


def _name(command: list[str]) -> str:
    """Return a name that no other run has, after the first thing that looks like a program's."""
    words = (word for word in reversed(command) if word.endswith(".py"))
    stem = Path(next(words, command[0])).stem
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:50] or "run"
    return f"{plain}-{secrets.token_hex(2)}"


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequestError(
            f"--out {folder} cannot be made ({error}): choose another folder", "out"
        ) from None
    return folder


def _write(file: Path, report: dict[str, Any]) -> None:
    file.write_text(json.dumps(report, indent=2) + "\n", "utf-8")

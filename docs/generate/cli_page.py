"""Every verb of the `scalesim` command with its arguments and options, from their signatures."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from docs.generate.text import first_paragraph, one_line
from scalesim.cli.main import VERBS

_HEAD = """# The command line
Written by `make generated`. `scalesim --version` prints the version. Every verb answers `--help`;
an error is one message on standard error and exit code 1, a usage error exit code 2. With `--json`
standard output is one JSON document, also for an error:
`{"error": {"code", "message", "retryable"}}`.

| verb | |
|---|---|
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD, *(f"| `{verb}` | {text} |\n" for verb, text in VERBS.items())]
    for verb in VERBS:
        for name, callback in _commands(verb):
            parts.append(_command(f"scalesim {name}", callback))
    return "".join(parts)


def _commands(verb: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the full name of each command of a verb, and what it calls."""
    app: typer.Typer = importlib.import_module(f"scalesim.cli.{verb}").app
    is_group = app.registered_callback is not None or len(app.registered_commands) > 1
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        yield f"{verb} {name}" if is_group else verb, command.callback


def _command(name: str, callback: Callable[..., Any]) -> str:
    rows = [
        "| " + " | ".join(_cells(name, info, kind, default)) + " |\n"
        for name, info, kind, default in _parameters(callback)
    ]
    head = f"\n## `{name}`\n{first_paragraph(callback)}\n"
    return head + (
        "\n| option | type | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
        if rows
        else ""
    )


def _parameters(callback: Callable[..., Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    hints = typing.get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, *extras = typing.get_args(hints[name]) or (hints[name],)
        for info in extras:
            if isinstance(info, ArgumentInfo | OptionInfo):
                yield name, info, kind, parameter.default


def _cells(name: str, info: Any, kind: Any, default: Any) -> tuple[str, str, str, str]:
    shown = getattr(info, "metavar", None) or name.upper()
    if isinstance(info, OptionInfo):
        # In `Annotated`, typer takes the first of an option's names for its default.
        named = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
        plain = f"--{name.replace('_', '-')}"
        switch = [plain, plain.replace("--", "--no-", 1)] if kind is bool else [plain]
        shown = ", ".join(named or switch)
    if default is inspect.Parameter.empty:
        preset = "required"
    else:
        preset = "" if default is None or default is False else f"`{default}`"
    return f"`{shown}`", _kind(kind), preset, one_line(info.help or "")


def _kind(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    if typing.get_origin(kind) is list:
        return f"{_kind(typing.get_args(kind)[0])}, repeated"
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{one}`" for one in typing.get_args(kind))
    return {bool: "flag", str: "text"}.get(kind) or str(kind.__name__).lower()

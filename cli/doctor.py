"""`scalesim doctor`: can this machine run the stack, and if not, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from scalesim.cli.finding import Check
from scalesim.cli.output import AsJson, print_json

app = typer.Typer()


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Option(help="The stack's YAML: its Redis, ports and model are checked")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Say what fits: a folder, or a name as `plan` knows it")
    ] = None,
    agent_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of one agent, to say how many fit")
    ] = (2048),
    as_json: AsJson = False,
) -> None:
    """Check that this machine can run the stack; exit code 1 where it cannot."""
    checks = []
    for check in look(config, model, agent_tokens):
        checks.append(check)
        if not as_json:
            _show(check)
    if as_json:
        print_json({"ok": all(c.ok for c in checks), "checks": [c._asdict() for c in checks]})
    if not all(check.ok for check in checks):
        raise SystemExit(1)


def look(config: Path | None, model: str | None, agent_tokens: int) -> Iterator[Check]:
    """Yield what is found, the quick looks first.

    Args:
        config: The stack's settings.
        model: In place of theirs.
        agent_tokens: Tokens of the agents whose number is said, where there is a model.

    Raises:
        ConfigurationError: The file of settings is not valid.
    """
    from scalesim.cli import machine, ports, services, what_fits
    from scalesim.cli.up import read_config
    from scalesim.environment import with_secrets_from_env
    from scalesim.settings import StackSettings, load

    values: dict[str, Any] = read_config(config) if config else {}
    engine = values["engine"] = {**(values.get("engine") or {})}
    engine["model_path"] = model or engine.get("model_path", "random")
    settings = with_secrets_from_env(load(StackSettings, values))
    yield from machine.platform_checks()
    yield from machine.package_checks()
    yield from machine.accelerator_checks()
    yield from machine.resource_checks()
    if engine["model_path"] != "random":
        yield from what_fits.fit_checks(settings, agent_tokens)
    yield from machine.clock_checks()
    yield from ports.port_checks(settings.ingress)
    yield from ports.metrics_checks(settings)
    yield from services.redis_checks(settings.catalog)
    yield from services.hook_checks()


def _show(check: Check) -> None:
    from rich.console import Console
    from rich.markup import escape

    mark = "[green]ok[/] " if check.ok else "[red]fix[/]"
    advice = "" if check.ok else f"\n    -> {escape(check.advice)}"
    line = f"{mark} [bold]{check.name}[/]: {escape(check.found)}{advice}"
    Console().print(line, highlight=False, soft_wrap=True)

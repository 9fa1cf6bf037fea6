"""`scalesim up`: the stack in the foreground."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.output import AsJson, print_json
from scalesim.errors import ConfigurationError

app = typer.Typer()

Option = typer.Option


@app.command()
def up(
    config: Annotated[Path | None, Option(help="YAML with the names of StackSettings")] = None,
    model: Annotated[
        str | None, Option(help="Model folder or hub name; `random` builds one")
    ] = None,
    arm: Annotated[str | None, Option(help="scalesim, hicache or stock")] = None,
    device: Annotated[str | None, Option(help="auto, cuda or cpu")] = None,
    device_tokens: Annotated[int | None, Option(help="KV tokens in GPU memory")] = None,
    host_ratio: Annotated[float | None, Option(help="Host tier, times the device tier")] = None,
    replicas: Annotated[int | None, Option(help="Engines")] = None,
    host: Annotated[
        str | None, Option(help="Address; off loopback SCALESIM_API_KEY is due")
    ] = None,
    port: Annotated[int | None, Option(help="0 takes a free one")] = None,
    as_json: AsJson = False,
) -> None:
    """Start the stack in the foreground; Ctrl-C drains and stops it. Flags go before the file."""
    from deployments.stack import Stack
    from scalesim.settings import StackSettings, load, with_secrets_from_env

    values = read_config(config) if config else {}
    engine = {
        "model_path": model,
        "arm": arm,
        "device": device,
        "device_tokens": device_tokens,
        "host_ratio": host_ratio,
    }
    _override(values, "engine", engine)
    _override(values, "ingress", {"host": host, "port": port})
    if replicas is not None:
        values["replicas"] = replicas
    with _model(values["engine"]):
        settings = with_secrets_from_env(load(StackSettings, values))
        console = Console(stderr=True)
        console.print("starting the stack; the engine takes 10 s to a few minutes ...")
        with Stack(settings) as stack, _sigterm_as_ctrl_c():
            if as_json:
                print_json({"base_url": stack.base_url})
            else:
                typer.echo(f"ready at {stack.base_url}")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            console.print("draining ...")


def read_config(path: Path) -> dict[str, Any]:
    """Return the values of a stack's YAML file, not yet validated.

    Raises:
        ConfigurationError: It cannot be read or holds no mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"--config {path} cannot be read ({error}): give a YAML file with the names of "
            "StackSettings in scalesim/settings.py"
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"--config {path} holds no mapping: write e.g. `replicas: 2`")
    return values


def _override(values: dict[str, Any], section: str, flags: dict[str, Any]) -> None:
    given = {name: value for name, value in flags.items() if value is not None}
    values[section] = {**(values.get(section) or {}), **given}


@contextmanager
def _model(engine: dict[str, Any]) -> Iterator[None]:
    """Put a random model in the place of the name `random` for as long as the stack runs."""
    if "model_path" not in engine:
        raise ConfigurationError("there is no model: give --model PATH, or --model random to try")
    if engine["model_path"] != "random":
        yield
        return
    from deployments.random_model import build

    with tempfile.TemporaryDirectory(prefix="scalesim-model-") as folder:
        engine["model_path"] = str(build(folder))
        yield


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)

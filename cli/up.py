"""`scalesim up`: the stack in the foreground."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from scalesim.cli.output import AsJson, print_json
from scalesim.errors import ConfigurationError

if TYPE_CHECKING:
    from scalesim.deployments.run_folder import RunFolder

app = typer.Typer()

Option = typer.Option

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_EVENT_S = 1.0

_ANSWER_TOKENS = 512
"""Longest answer of the models that come with us where none is asked for."""

_EXAMPLES = {"engine": "model_path: /models/m", "ingress": "port: 8080"}
"""What a section of the YAML file may look like."""


@app.command()
def up(
    config: Annotated[
        Path | None, Option(help="YAML file with the stack's settings (StackSettings)")
    ] = None,
    model: Annotated[
        str | None, Option(help="Folder, name on the hub, or one to try: `random`, `smollm2`")
    ] = None,
    arm: Annotated[
        str | None, Option(help="What decides which state is kept: scalesim, hicache or stock")
    ] = None,
    device: Annotated[str | None, Option(help="Device: auto, cuda or cpu")] = None,
    emulate: Annotated[
        str | None, Option(help="Emulate a GPU's times on a CPU: h100, h100:llama-3.1-8b ...")
    ] = None,
    dilate: Annotated[
        float, Option(min=1.0, help="With --emulate: seconds that one of its seconds takes")
    ] = 8.0,
    device_tokens: Annotated[int | None, Option(help="KV tokens in GPU memory")] = None,
    host_ratio: Annotated[
        float | None, Option(help="Host tier as a multiple of the device tier")
    ] = None,
    replicas: Annotated[int | None, Option(help="Number of engines")] = None,
    host: Annotated[
        str | None, Option(help="Address; beyond loopback SCALESIM_API_KEY is needed")
    ] = None,
    port: Annotated[int | None, Option(help="Port; 0 takes a free one")] = None,
    address: Annotated[
        str | None, Option(help="Ray cluster to run on, HOST:PORT or `auto`; else one of its own")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the stack in the foreground; Ctrl-C drains and stops it. Options override the file."""
    from scalesim.deployments.cluster import head_of
    from scalesim.deployments.run_folder import RAY_FITS, RunFolder
    from scalesim.deployments.stack import Stack
    from scalesim.environment import with_secrets_from_env
    from scalesim.settings import EmulationSettings, StackSettings, load
    from scalesim.simulations.progress_lines import waiting

    values = read_config(config) if config else {}
    engine: dict[str, Any] = {
        "model_path": model,
        "arm": arm,
        "device": device,
        "device_tokens": device_tokens,
        "host_ratio": host_ratio,
    }
    if emulate is not None:
        emulation = EmulationSettings.of(emulate, dilate)
        engine |= {"device": "cpu", "emulation": emulation.model_dump()}
    _override(values, "engine", engine)
    _override(values, "ingress", {"host": host, "port": port})
    if replicas is not None:
        values["replicas"] = replicas
    # Before there is a folder of our own: Ray looks for the last cluster where TMPDIR is.
    address = head_of(address) if address else None
    with _Signals(), RunFolder(RAY_FITS) as folder, folder.as_own_tmpdir():
        _build_model(values, folder)
        settings = with_secrets_from_env(load(StackSettings, values))
        console = Console(stderr=True)
        stack = Stack(settings, folder, address)
        with ExitStack() as running:
            with waiting(console, "starting the stack; the engine takes 10 s to a few minutes ..."):
                running.enter_context(stack)
            if as_json:
                print_json({"base_url": stack.base_url})
            else:
                emulated = f", emulated {emulate}" if emulate is not None else ""
                typer.echo(f"ready at {stack.base_url}{emulated}")
            with suppress(KeyboardInterrupt):
                wait_for_a_signal()
            console.print("draining ...")


def wait_for_a_signal() -> None:
    """Wait for a signal."""
    threading.Event().wait()


def read_config(path: Path) -> dict[str, Any]:
    """Return the values of a stack's YAML file, not yet validated.

    Raises:
        ConfigurationError: It cannot be read or holds no mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"--config {path} cannot be read ({error}): give a YAML file with the names of "
            "StackSettings in scalesim/settings/"
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"--config {path} holds no mapping: write e.g. `replicas: 2`")
    return values


def _override(values: dict[str, Any], section: str, flags: dict[str, Any]) -> None:
    given = {name: value for name, value in flags.items() if value is not None}
    known = values.get(section) or {}
    if not isinstance(known, dict):
        raise ConfigurationError(
            f"{section} in --config is {str(known)[:80]!r}, not a section: write its settings "
            f"below it, e.g. `{section}: {{{_EXAMPLES[section]}}}`"
        )
    values[section] = {**known, **given}


def _build_model(values: dict[str, Any], folder: RunFolder) -> None:
    """Replace the names of bundled models by the folders they are built in.

    The random one lasts as long as the stack runs, the other is kept in the user's cache. Neither
    ends its answers reliably, so those to clients that name no length are bounded.
    """
    engine = values["engine"]
    if "model_path" not in engine:
        raise ConfigurationError(
            "there is no model: give --model PATH; to try, --model random, or --model smollm2 for "
            "one that answers in sentences"
        )
    from scalesim.deployments import random_model, smollm2

    if engine["model_path"] == "random":
        engine["model_path"] = str(random_model.build(folder.path / "model"))
    elif engine["model_path"] == smollm2.NAME:
        engine["model_path"] = str(smollm2.build())
    else:
        return
    values["ingress"].setdefault("default_max_tokens", _ANSWER_TOKENS)
    # Their templates do not say how calls of tools are written; with this parser of SGLang's those
    # that must be made follow the tool's own schema.
    engine.setdefault("extra_args", {}).setdefault("tool_call_parser", "pythonic")


class _Signals:
    """SIGTERM and SIGHUP end the stack as Ctrl-C does, from its start on.

    One that is sent to the process and to its group, as `timeout` does, comes twice and counts
    once. What a parent had ignored, as `nohup` does, stays ignored.
    """

    def __init__(self) -> None:
        self._former = {number: signal.getsignal(number) for number in _SIGNALS}
        self._last_s = -_ONE_EVENT_S

    def take(self) -> None:
        """Take the signals."""
        for number, former in self._former.items():
            if former is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s > _ONE_EVENT_S:
            self._last_s = now_s
            raise KeyboardInterrupt

    def __enter__(self) -> _Signals:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)

"""`scalesim trace`: make activation traces, convert others', or record a running stack's."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from scalesim.cli.output import AsJson, print_json
from scalesim.errors import InvalidRequestError, UnavailableError

app = typer.Typer(no_args_is_help=True, add_completion=False)

Out = Annotated[Path | None, typer.Option(help="File to write; standard output without it.")]


@app.callback()
def _group() -> None:
    """Make, convert or record activation traces."""


@app.command()
def generate(
    workload: Annotated[str, typer.Argument(help="Class of simulation; a wrong name lists all.")],
    agents: Annotated[int, typer.Option()] = 100,
    steps: Annotated[int, typer.Option()] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Write a seeded trace of a class of simulation."""
    from scalesim.policies.replay.activation_trace import format_trace
    from scalesim.policies.workloads import generate as make

    _write(format_trace(make(workload, agents, steps, seed).trace), out, as_json=as_json)


@app.command()
def convert(
    trace: Annotated[Path, typer.Argument(help="Mooncake, BurstGPT or Azure; may be in gzip.")],
    step_time: Annotated[float, typer.Option(help="Seconds that make a step.")] = 1.0,
    agents: Annotated[
        int | None,
        typer.Option(min=1, help="Agents that requests without one are dealt to."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the dealing.")] = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Turn a published trace of requests into one of ours.

    Who asked is the session where the trace has one, else the conversation that a request's blocks
    continue (Mooncake), else an agent by chance (--agents). Reads the file twice, line by line.
    """
    from scalesim.policies.replay.activation_trace import event_line
    from scalesim.policies.replay.convert import events
    from scalesim.policies.replay.formats import requests
    from scalesim.simulations.trace.trace_files import read_lines

    if trace.exists() and not trace.is_file():
        raise InvalidRequestError(f"{str(trace)!r} is read twice: give a file, not a pipe", "trace")
    origin_s = min(request.time_s for request in requests(read_lines(trace)))
    asked = requests(read_lines(trace))
    found = events(asked, origin_s=origin_s, step_s=step_time, agents=agents, seed=seed)
    _write((event_line(**event) for event in found), out, as_json=as_json)


@app.command()
def record(
    simulation: Annotated[
        str, typer.Option(help="Simulation whose requests are recorded.")
    ] = "default",
    requests: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many requests.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Write the requests of a running stack as they happen, until Ctrl-C or the stack ends.

    The stack is found by SCALESIM_BASE_URL and SCALESIM_API_KEY.
    """
    import httpx

    from scalesim.environment import client_from_env
    from scalesim.identity import check_simulation
    from scalesim.proxies import may_be_proxied

    settings = client_from_env()
    key = settings.api_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{settings.base_url}/v1/trace"
    query = {"simulation": check_simulation(simulation)}
    timeout = httpx.Timeout(settings.timeout_s, read=None)
    try:
        with (
            httpx.Client(timeout=timeout, trust_env=may_be_proxied(url)) as client,
            client.stream("GET", url, params=query, headers=headers) as feed,
        ):
            if feed.status_code != 200:
                raise InvalidRequestError(
                    f"{url} answered {feed.status_code}: check SCALESIM_BASE_URL and "
                    "SCALESIM_API_KEY"
                )
            lines = (line for line in feed.iter_lines() if line)
            _write(_until_it_ends(islice(lines, requests)), out, as_json=as_json, live=True)
    except httpx.HTTPError as error:
        raise UnavailableError(
            f"the trace of {settings.base_url} cannot be had ({error}): is the stack up? Start it "
            "with `scalesim up` or set SCALESIM_BASE_URL"
        ) from None


def _until_it_ends(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines until Ctrl-C or the end of the stack that sends them."""
    import httpx

    try:
        yield from lines
    except (httpx.ReadError, httpx.RemoteProtocolError):
        typer.echo("the stack has ended; what came until then is written", err=True)
    except KeyboardInterrupt:
        return


def _write(lines: Iterable[str], out: Path | None, *, as_json: bool, live: bool = False) -> None:
    if as_json and out is None:
        raise InvalidRequestError(
            "--json tells what was written, and standard output is for that: give --out", "out"
        )
    written = 0
    try:
        with nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8") as sink:
            for line in lines:
                sink.write(line + "\n")
                if live:
                    sink.flush()
                written += 1
    except OSError as error:
        raise InvalidRequestError(
            f"the trace cannot be written to {str(out)!r} ({error}): choose another --out", "out"
        ) from None
    if as_json:
        print_json({"requests": written, "out": str(out)})

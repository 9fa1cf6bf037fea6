"""`scalesim replay`: one trace, many policies, one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesim.cli.output import AsJson, print_json
from scalesim.errors import InvalidRequestError

if TYPE_CHECKING:
    from scalesim.policies.replay.activation_trace import Trace

app = typer.Typer(add_completion=False)

DEFAULT_POLICIES = "lru,lfu,s3fifo,gdsf,kvflow,distance,belady,oracle"
UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "b": 1}


@app.command()
def replay(
    trace: Annotated[Path, typer.Argument(help="JSON lines with `step` and `agent`.")],
    capacity: Annotated[
        str, typer.Option(help="Device tier: share of the agents (0.4), or bytes (8GiB).")
    ] = "0.4",
    policy: Annotated[
        str, typer.Option(help="Eviction orders, comma-separated.")
    ] = DEFAULT_POLICIES,
    hints: Annotated[
        str,
        typer.Option(help="Distances: reported (from the trace), learned, none, or noisy:SIGMA."),
    ] = "reported",
    prefetch: Annotated[bool, typer.Option(help="Fetch ahead at the speed of the link.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write miss-ratio curves over 0.5-50% as SVG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay an activation trace against eviction orders and the planner."""
    from scalesim.policies.replay.case import Case
    from scalesim.policies.replay.replay_policies import replay as run

    requests = read_trace(trace)
    names = [name.strip() for name in policy.split(",") if name.strip()]
    case = Case(requests, parse_capacity(capacity), hints, prefetch, seed=seed)
    report = run(case, names)
    if plot is not None:
        from scalesim.cli.curves_svg import curves_svg
        from scalesim.policies.replay.curves import miss_ratio_curves

        curves = miss_ratio_curves(requests, names, hints, prefetch, seed)
        _write(plot, curves_svg(curves))
    if as_json:
        print_json(report)
    else:
        _print_table(report)


def read_trace(path: Path) -> Trace:
    """Return the trace in a file.

    Raises:
        InvalidRequestError: The file cannot be read, or is not a trace.
    """
    from scalesim.policies.replay.activation_trace import parse_trace
    from scalesim.simulations.trace.trace_files import read_lines

    return parse_trace(read_lines(path))


def parse_capacity(text: str) -> float | int:
    """Return a share as a float, or bytes as an int.

    Raises:
        InvalidRequestError: Neither.
    """
    number, unit = text.strip().lower(), ""
    for suffix in UNITS:
        if number.endswith(suffix):
            number, unit = number[: -len(suffix)], suffix
            break
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if unit and 0 < value * UNITS[unit] < 2**60:
        return max(int(value * UNITS[unit]), 1)
    if not unit and 0 < value <= 1:
        return value
    raise InvalidRequestError(
        f"capacity {text!r} is not one: give a share of the agents above 0 and up to 1 (0.4), or "
        "bytes with a unit (8GiB)",
        "capacity",
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequestError(
            f"the curves cannot be written to {str(path)!r} ({error}): choose another --plot",
            "plot",
        ) from None


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{report['requests']} requests of {report['agents']} agents, "
        f"capacity {report['capacity']}"
    )
    for column in ("policy", "hits", "bytes", "stall s", "fetched", "used", "late", "wasted MiB"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for name, row in report["policies"].items():
        fetch = row["prefetch"]
        table.add_row(
            name,
            f"{row['hit_ratio']:.1%}",
            f"{row['byte_hit_ratio']:.1%}",
            f"{row['stall_s']:.2f}",
            *(str(fetch[key]) for key in ("issued", "used", "late")),
            f"{fetch['wasted_bytes'] / 2**20:.0f}",
        )
    Console().print(table)

"""`scalesim status`: what a running stack holds and does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from scalesim.cli.output import WARMTH, AsJson, mebibytes, print_json
from scalesim.cli.running_stack import BaseUrl, stack_at
from scalesim.vocabulary import TIERS

app = typer.Typer()

STALLED_S = 10.0
"""A loop that did nothing for this long is pointed out; most turn several times a second."""


@app.command()
def status(base_url: BaseUrl = None, as_json: AsJson = False) -> None:
    """Show what a running stack holds and does; the key is taken from SCALESIM_API_KEY."""
    with stack_at(base_url) as stack:
        document = stack.status()
    if as_json:
        print_json(document)
    else:
        _show(document)


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    for label, text in _lines(document):
        console.print(f"[bold]{label:>11}[/]  {text}", highlight=False)
    console.print(_replicas(document["replicas"]))
    if document["simulations"]:
        console.print(_simulations(document["simulations"]))


def _lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from rich.markup import escape

    agents, catalog = document["agents"], document["catalog"]
    yield "controller", f"{document['incarnation']}, up {document['uptime_s']:,.0f} s"
    yield "agents", str(agents["total"])
    held = (f"{agents[tier]} {word} ({tier})" for tier, word in WARMTH.items())
    yield "", f"{', '.join(held)}, {agents['absent']} without state"
    rest = {"with_distance": "with a distance", "pinned": "pinned", "in_use": "in use"}
    yield "", ", ".join(f"{agents[name]} {words}" for name, words in rest.items())
    if hits := document["hits"]:
        shares = ", ".join(f"{share:.0%} {order}" for order, share in hits.items())
        yield "on device", f"{shares} (of repeated requests)"
    for label, name in (("plans", "plan_s"), ("directives", "directive_s")):
        times = (f"{seconds * 1e3:.1f} ms {q}" for q, seconds in document[name].items())
        yield label, ", ".join(times)
    behind = f"{catalog['lag_s']:.1f} s behind, {document['dirty_rows']} rows to write"
    fault = escape(catalog["error"])
    well = f"ok, {behind}" if catalog["is_owner"] else "written by a newer controller of this stack"
    yield "catalog", well if catalog["ok"] else f"[red]{fault}[/]; {behind}"
    own = [replica["metrics"] for replica in document["replicas"].values()]
    if scraped := ", ".join(filter(None, [document["metrics"], *own])):
        yield "metrics", f"{scraped}, and the API's"
    for name, replica in document["replicas"].items():
        for fault in filter(
            None, (transfer["fault"] for transfer in replica["transfers"].values())
        ):
            yield "storage", f"[red]off at {name}: {escape(fault)}[/]"
    for name, loop in document["loops"].items():
        if loop["crashes"]:
            yield "crashes", f"[red]{loop['crashes']} in {name}: see the controller's log[/]"
        if loop["stalled_s"] > STALLED_S:
            yield "stalled", f"[red]{name} for {loop['stalled_s']:.0f} s: see its log[/]"


def _replicas(replicas: dict[str, dict[str, Any]]) -> Any:
    table = _table("replica", "agents", "device", "host", "storage", "prefetched", "heard of")
    for name, replica in replicas.items():
        table.add_row(
            name,
            str(replica["agents"]),
            *(_fill(replica, tier) for tier in TIERS),
            _used(replica["transfers"]),
            f"{replica['silent_s']:.1f} s ago" if replica["attached"] else "[red]not yet[/]",
        )
    return table


def _table(*columns: str) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False)


def _fill(replica: dict[str, Any], tier: str) -> str:
    held, budgets = replica[f"{tier}_bytes"], replica["budgets"]
    room = budgets[f"{tier}_bytes"] if budgets else 0
    return f"{held / 2**20:,.0f}/{room / 2**20:,.0f} MiB" if room else mebibytes(held)


def _used(transfers: dict[str, dict[str, int]]) -> str:
    """Return how many prefetches were used."""
    issued, used = (
        sum(transfer[name] for transfer in transfers.values()) for name in ("issued", "used")
    )
    return f"{used}/{issued}" if issued else "-"


def _simulations(simulations: dict[str, dict[str, Any]]) -> Any:
    table = _table("simulation", "step", "agents", "a step takes", "heard of")
    for name, state in simulations.items():
        step_s = f"{state['step_s']:.2f} s" if state["step_s"] else "-"
        heard = f"{state['silent_s']:.1f} s ago"
        table.add_row(name, str(state["epoch"]), str(state["agents"]), step_s, heard)
    return table

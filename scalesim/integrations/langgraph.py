"""LangGraph: calls carry the node's identity, and the graph says which nodes come next."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.watching import after

_AHEAD = 3
"""Supersteps that are looked ahead along edges."""


def install_runner(module: ModuleType) -> None:
    """Patch all graphs, so that calls carry the node's identity."""
    for name in ("run_with_retry", "arun_with_retry"):
        act_for(module, name, lambda task, *args, **kwargs: _name(task.name, task.config))


def install_loop(module: ModuleType) -> None:
    """Report the nodes of each superstep, and those that its edges lead to."""
    after(module.PregelLoop, "tick", _tell)


def _name(node: str, config: Mapping[str, Any]) -> str:
    """Return a node's name, with its thread's where a graph serves several."""
    thread = config.get("configurable", {}).get("thread_id")
    return node if thread is None else f"{thread} {node}"


def _tell(goes_on: bool, loop: Any) -> None:
    if not goes_on:
        return
    running = {task.name for task in loop.tasks.values()} - {"__start__"}
    ahead, upcoming = running, []
    for _ in range(_AHEAD):
        ahead = {after for node in ahead for after in _successors(loop.nodes, node)}
        if not ahead:
            break
        upcoming.append([_name(node, loop.config) for node in ahead])
    begin_step([_name(node, loop.config) for node in running], upcoming=upcoming)


def _successors(nodes: Mapping[str, Any], name: str) -> set[str]:
    """Return nodes that are triggered by a channel that a node always writes to."""
    written = {
        entry.channel
        for writer in getattr(nodes.get(name), "writers", ())
        for entry in getattr(writer, "writes", ())
        if hasattr(entry, "channel")
    }
    return {other for other, node in nodes.items() if written.intersection(node.triggers)}

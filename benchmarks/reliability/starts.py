"""A stack started and ended in every way there is: what each leaves on this machine.

Run: python -m benchmarks.reliability.starts ["NAME OF A WAY" ...]
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.reliability.scalesim_up import ENDS_S, ScalesimUp, until
from benchmarks.results import write
from scalesim.deployments.random_model import build

_STARTS_S = 300.0
_SCHEDULER = "sglang::scheduler"
_REPLICA = "ray::ServeReplica:scalesim:Replica"
_CONTROLLER = "ray::ControllerActor"
_CATALOG = "valkey-server"
_GUARD = f"{sys.executable} -m scalesim.deployments.run_folder"


def _signal(number: signal.Signals, *, group: bool = False) -> Callable[[ScalesimUp], None]:
    return lambda up: up.ready().send(number, group=group)


def _at_start(number: signal.Signals, *, group: bool = False) -> Callable[[ScalesimUp], None]:
    """Return what ends a stack whose engine is about to start."""

    def end(up: ScalesimUp) -> None:
        assert until(lambda: up.part(_REPLICA) is not None, _STARTS_S)
        up.send(number, group=group)

    return end


def _killed_before(title: str, number: signal.Signals) -> Callable[[ScalesimUp], None]:
    """Return what kills a part, waits for another in its place, and ends the stack."""

    def end(up: ScalesimUp) -> None:
        part = up.ready().part(title)
        assert part is not None
        up.look()
        part.kill()
        assert until(lambda: not part.is_running() and up.part(title) is not None, _STARTS_S)
        assert until(up.answers, _STARTS_S)
        up.send(number, group=False)

    return end


def _unguarded(up: ScalesimUp) -> None:
    """Kill the guard and then the stack: what is left goes with the next start."""
    guard = up.ready().part(_GUARD)
    assert guard is not None
    up.look()
    guard.kill()
    up.send(signal.SIGKILL, group=False)
    with ScalesimUp(up.config, up.place) as following:
        following.ready().send(signal.SIGTERM, group=False)
        following.ended()


WAYS: dict[str, Callable[[ScalesimUp], None]] = {
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGTERM to the group": _signal(signal.SIGTERM, group=True),
    "SIGINT": _signal(signal.SIGINT),
    "SIGINT to the group": _signal(signal.SIGINT, group=True),
    "SIGHUP": _signal(signal.SIGHUP),
    "SIGHUP to the group": _signal(signal.SIGHUP, group=True),
    "SIGKILL": _signal(signal.SIGKILL),
    "SIGKILL to the group": _signal(signal.SIGKILL, group=True),
    "SIGTERM at its start": _at_start(signal.SIGTERM),
    "SIGKILL at its start": _at_start(signal.SIGKILL),
    "engine killed, SIGTERM": _killed_before(_SCHEDULER, signal.SIGTERM),
    "replica killed, SIGTERM": _killed_before(_REPLICA, signal.SIGTERM),
    "controller killed, SIGKILL": _killed_before(_CONTROLLER, signal.SIGKILL),
    "catalog killed, SIGHUP": _killed_before(_CATALOG, signal.SIGHUP),
    "guard killed, SIGKILL, started again": _unguarded,
}


def once(name: str, end: Callable[[ScalesimUp], None], config: Path) -> dict[str, Any]:
    """Return what one start and one end left."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder,  # short, for sockets
        ScalesimUp(config, Path(folder)) as up,
    ):
        end(up)
        ended = time.monotonic()
        code = up.ended()
        left = [] if until(lambda: not up.left(), ENDS_S) else up.left()
        took_s = time.monotonic() - ended
    return {"way": name, "exit_code": code, "ended_s": round(took_s, 1), "left": left}


def main() -> None:
    """Print one table and write the figures."""
    names = sys.argv[1:] or list(WAYS)
    with tempfile.TemporaryDirectory() as folder:
        model = build(Path(folder) / "model", size="tiny")
        config = Path(folder) / "stack.yaml"
        config.write_text(f"engine: {{model_path: {model}, device: cpu, device_tokens: 1024}}")
        rows = []
        for name in names:
            rows.append(once(name, WAYS[name], config))
            print(rows[-1], flush=True)
    table = Table("ended by", "exit code", "all gone after", "left")
    for row in rows:
        left = ", ".join(row["left"]) or "nothing"
        table.add_row(row["way"], str(row["exit_code"]), f"{row['ended_s']} s", left)
    Console().print(table)
    write("reliability_starts", rows)


if __name__ == "__main__":
    main()

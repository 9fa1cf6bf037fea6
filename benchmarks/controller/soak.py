"""100,000 agents, eight made-up engines and two real ones, for minutes: what grows?

The made-up engines (`scalesim.cli.busy_engines`) are busy all the time and talk to the controller
of a real stack; its own two engines answer clients through the ingress. Every agent is reported
once a second.

Run: python -m benchmarks.controller.soak [MINUTES]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import httpx
import numpy as np
import ray
from rich.console import Console
from rich.table import Table

from benchmarks.reliability import parts
from benchmarks.results import write
from scalesim.cli import busy_engines
from scalesim.controller import actor
from scalesim.deployments.random_model import build
from scalesim.deployments.remote import RemoteController
from scalesim.deployments.stack import Stack
from scalesim.identity import agent_keys
from scalesim.policies.placement import rendezvous
from scalesim.settings import (
    ControllerSettings,
    EngineSettings,
    IngressSettings,
    StackSettings,
)
from scalesim.vocabulary import Keys

AGENTS, MADE_UP, HOSTS, CLIENTS = 100_000, 8, 4, 4
SIMULATION = "soak"
SAMPLE_S = 10.0
CALL_S = 120.0
_OF_CATALOG = ("flushes", "rows", "failures", "losses", "error")


class Soak:
    """Load on a stack, and what it is seen to do.

    Args:
        stack: With two engines.

    Attributes:
        rows: A row for each sample.
        answered: Requests that the real engines answered; others end the benchmark.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._controller = actor.connect(ControllerSettings())
        self._reported_s: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.answered = 0

    def _status(self) -> dict[str, Any]:
        return dict(ray.get(self._controller.status.remote(), timeout=CALL_S))

    @contextmanager
    def _engines(self, keys: Keys) -> Iterator[list[str]]:
        """Attach the made-up engines, each with the agents that hash to it; yield all names."""
        names = [busy_engines.name_of(number) for number in range(MADE_UP)]
        every = [*names, *self._status()["replicas"]]
        home = rendezvous(keys, every)
        make = partial(RemoteController, _connected, ControllerSettings())
        remote = ray.remote(num_cpus=0)(busy_engines.EngineHosts)
        hosts = [
            remote.remote({n: keys[home == n] for n in range(first, MADE_UP, HOSTS)}, make)
            for first in range(HOSTS)
        ]
        ray.get([host.attach.remote() for host in hosts], timeout=CALL_S)
        try:
            yield [f"agent-{row}" for row in np.flatnonzero(home >= MADE_UP)]
        finally:
            ray.get([host.stop.remote() for host in hosts], timeout=CALL_S)

    async def run(self, minutes: float) -> None:
        """Take so many minutes."""
        agents = [f"agent-{row}" for row in range(AGENTS)]
        keys = agent_keys(SIMULATION, agents)
        with self._engines(keys) as served:
            ended = asyncio.Event()
            work = [
                self._report(keys, ended),
                *(self._ask(served[first::CLIENTS], ended) for first in range(CLIENTS)),
            ]
            tasks = [asyncio.create_task(each) for each in work]
            try:
                for _ in range(int(minutes * 60 / SAMPLE_S)):
                    done, _ = await asyncio.wait(
                        tasks, timeout=SAMPLE_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        task.result()
                    self.rows.append(await self._sample())
            finally:
                ended.set()
                await asyncio.gather(*tasks)

    async def _report(self, keys: Keys, ended: asyncio.Event) -> None:
        step = 0
        while not ended.is_set():
            began = time.monotonic()
            near = busy_engines.distances(step, keys.size)
            call = self._controller.report.remote(SIMULATION, step, keys, near)
            await asyncio.wait_for(call, CALL_S)
            self._reported_s.append(time.monotonic() - began)
            step += 1
            await asyncio.sleep(max(1.0 - (time.monotonic() - began), 0.0))

    async def _ask(self, agents: Sequence[str], ended: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=self._stack.base_url, timeout=CALL_S) as client:
            turn = 0
            while not ended.is_set():
                agent = agents[turn % 50]
                body = {
                    "model": "scalesim",
                    "messages": [{"role": "user", "content": f"{agent} " * 20 + str(turn)}],
                    "max_tokens": 4,
                    "user": f"{SIMULATION}/{agent}",
                }
                (await client.post("/v1/chat/completions", json=body)).raise_for_status()
                self.answered += 1
                turn += 1

    async def _sample(self) -> dict[str, Any]:
        """Return what is seen now, the calls for reports since the last time included."""
        reported_s, self._reported_s = self._reported_s, []
        status = await asyncio.wait_for(self._controller.status.remote(), CALL_S)
        async with httpx.AsyncClient(base_url=self._stack.base_url, timeout=CALL_S) as client:
            metrics = (await client.get("/metrics")).content
        return {
            "agents": status["agents"],
            "memory_mb": {
                part: [round(process.memory_info().rss / 2**20) for process in processes]
                for part, processes in parts.all_of(self._stack).items()
            },
            "tick_s": status["tick_s"],
            "plan_s": status["plan_s"],
            "report_s": max(reported_s, default=None),
            "update_interval_s": status["update_interval_s"],
            "catalog_lag_s": status["catalog"]["lag_s"],
            "catalog": {name: status["catalog"][name] for name in _OF_CATALOG},
            "dirty_rows": status["dirty_rows"],
            "metrics_bytes": len(metrics),
            "answered": self.answered,
        }


def _connected() -> Any:
    return actor.connect(ControllerSettings())


def grown(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return the median of each figure in the second fifth of a run, and in its last."""
    fifth = max(len(rows) // 5, 1)

    def both(figure: Any) -> tuple[float, float]:
        seen = [figure(row) for row in rows]
        return median(seen[fifth : 2 * fifth]), median(seen[-fifth:])

    found = {
        f"{part}, MB": both(lambda row, part=part: sum(row["memory_mb"][part]))
        for part in parts.PARTS
    }
    found["tick p99, ms"] = both(lambda row: row["tick_s"]["p99"] * 1e3)
    found["plan p99, ms"] = both(lambda row: row["plan_s"]["p99"] * 1e3)
    found["longest report, ms"] = both(lambda row: (row["report_s"] or 0.0) * 1e3)
    found["catalog behind, s"] = both(lambda row: row["catalog_lag_s"])
    found["rows to write"] = both(lambda row: row["dirty_rows"])
    found["/metrics, kB"] = both(lambda row: row["metrics_bytes"] / 1e3)
    return found


def main(minutes: float) -> None:
    """Print one table and write JSON."""
    with tempfile.TemporaryDirectory() as folder:
        model = str(build(folder, size="tiny"))
        engine = EngineSettings(model_path=model, dtype="float32", device_tokens=8192)
        ingress = IngressSettings(port=0, processes=2)
        with Stack(StackSettings(engine=engine, replicas=2, ingress=ingress)) as stack:
            soak = Soak(stack)
            asyncio.run(soak.run(minutes))
    found = grown(soak.rows)
    title = f"{AGENTS} agents, {minutes:g} minutes, {soak.answered} requests answered"
    table = Table("", "second fifth", "last fifth", title=title)
    for name, (early, late) in found.items():
        table.add_row(name, f"{early:,.1f}", f"{late:,.1f}")
    Console().print(table)
    write("controller/soak", {"grown": found, "samples": soak.rows}, minutes=minutes)


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 20.0)

"""Four Ray workers report batches of 10,000 distances to one controller.

The peer takes the same calls and does nothing: what Ray itself allows on this machine.

Run: python -m benchmarks.controller.reports
"""

from __future__ import annotations

import time

import numpy as np
import ray
from ray.actor import ActorHandle
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.controller import actor
from scalesim.controller.catalog.embedded import serving
from scalesim.settings import CatalogSettings, EngineSettings, StackSettings

WORKERS, BATCH, BATCHES, IN_FLIGHT = 4, 10_000, 300, 8
AGENTS = 100_000  # of each worker


class EmptyActor:
    """Takes the same arguments and does nothing: what Ray itself allows."""

    async def report(self, *_: object) -> None:
        """Do nothing."""


def send(target: ActorHandle, worker: int, epoch: int, batches: int) -> None:
    """Report `batches` batches of one simulation's agents, a few calls in flight."""
    rng = np.random.default_rng(worker)
    agents = rng.integers(-(2**63), 2**63, AGENTS)
    keys = [rng.choice(agents, BATCH) for _ in range(8)]
    distances = [(rng.random(BATCH) * 20).astype(np.float32) for _ in range(8)]
    flying: list[ray.ObjectRef] = []
    for at in range(batches):
        if len(flying) == IN_FLIGHT:
            ray.get(flying.pop(0))
        arrays = keys[at % 8], distances[at % 8]
        flying.append(target.report.remote(f"worker-{worker}", epoch, *arrays))
    ray.get(flying)


def updates_per_s(target: ActorHandle, epoch: int) -> float:
    """Return distances taken per second from all workers together."""
    task = ray.remote(num_cpus=0)(send)

    def run(batches: int) -> None:
        ray.get([task.remote(target, worker, epoch, batches) for worker in range(WORKERS)])

    run(20)
    started = time.perf_counter()
    run(BATCHES)
    return WORKERS * BATCHES * BATCH / (time.perf_counter() - started)


def main() -> None:
    """Measure both, print the ratio, write JSON."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with serving(CatalogSettings()) as catalog:
        settings = StackSettings(engine=EngineSettings(model_path="none"), catalog=catalog)
        figures: dict[str, list[float]] = {"empty actor": [], "controller": []}
        controller, empty = actor.start(settings), ray.remote(num_cpus=0)(EmptyActor).remote()
        for epoch in range(3):
            figures["empty actor"].append(updates_per_s(empty, epoch))
            figures["controller"].append(updates_per_s(controller, epoch))
        status = ray.get(controller.status.remote())
        actor.stop(settings.controller)
    ray.shutdown()

    table = Table("target", "million updates/s, median of 3")
    medians = {name: float(np.median(values)) for name, values in figures.items()}
    for name, value in medians.items():
        table.add_row(name, f"{value / 1e6:.1f}")
    ratio = medians["controller"] / medians["empty actor"]
    Console().print(table, f"controller over empty actor: {ratio:.2f}")
    write("controller/reports", figures, ratio=ratio, **status["counters"])


if __name__ == "__main__":
    main()

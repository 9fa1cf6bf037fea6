"""Three tiers: the device holds 10% of the agents, host memory 30%, storage all of them.

The peer in the same run is SGLang with HiCache and its own file backend over an equal disk: least
recently used, read from storage when a request is queued. Schedules are reported two steps ahead,
and each agent's own next use as its call ends. The warm-up, in which everyone acts, is left out.

Run: python -m benchmarks.payloads.tiers [SEEDS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import Arm, ClientSettings
from scalesim.simulations.arm_run import Run, RunOptions
from scalesim.simulations.arms import ArmMachine, stack_settings
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.scheduled_world import scheduled
from scalesim.simulations.society import society
from scalesim.simulations.summary import arm_summary
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize
from scalesim.transports.http import HttpTransport
from scalesim.vocabulary import PREFIX, TIERS

ARMS: tuple[Arm, ...] = ("hicache", "scalesim")
AGENTS, ACTIVE, STEPS = 60, 0.05, 16
SIZE = PromptSize(private=512, output=8)
RUN_OPTIONS = RunOptions(workers=2, concurrency=8, think_s=0.5)


class Arms:
    """The arms of one seed, and what was prefetched after the warm-up of ours."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._folder = folder
        self._workload = society(agents=AGENTS, active=ACTIVE, steps=STEPS, size=SIZE, seed=seed)
        model = build(folder / "model", seed=seed)
        self._machine = ArmMachine(
            model, device="cpu", device_share=0.1, host_share=0.3, storage=folder / "storage"
        )
        self.transfer: dict[str, int] = {}

    def run(self, arm: Arm) -> dict[str, Any]:
        """Run one arm and return its figures."""
        run = self._drive(arm)
        return arm_summary(run, self._workload)

    def _drive(self, arm: Arm) -> Run:
        settings = stack_settings(arm, self._workload, self._machine)
        with Stack(settings) as stack:
            client = ClientSettings(base_url=stack.base_url)
            hints = client if arm == "scalesim" else None
            target = Target(stack.base_url, settings.engine.served_model_name, hints)
            transport = HttpTransport(client)

            def watch(step: int, calls: CallTable) -> None:
                if step == 0 and hints:
                    self.transfer = {name: -n for name, n in transfer_of(transport).items()}

            run = scheduled(self._workload)(target, RUN_OPTIONS, watch, self._folder / arm)
            if hints:
                self.transfer = {
                    name: n + self.transfer[name] for name, n in transfer_of(transport).items()
                }
            transport.close()
        return run


def transfer_of(transport: HttpTransport) -> dict[str, int]:
    """Return the counters of the only replica's prefix moves."""
    (replica,) = transport.status()["replicas"].values()
    return {name: n for name, n in replica["transfers"][PREFIX].items() if name != "kind"}


def measure(seed: int) -> dict[str, Any]:
    """Return the figures of one seed: by arm, and of the moves of ours."""
    with tempfile.TemporaryDirectory(prefix="scalesim-tiers-") as folder:
        arms = Arms(seed, Path(folder))
        # In turn first: a machine that others slow down would favour one of them.
        figures = {arm: arms.run(arm) for arm in (ARMS if seed % 2 == 0 else ARMS[::-1])}
    texts = {arm["tokens_sha256"] for arm in figures.values()}
    assert len(texts) == 1, "the arms returned different text"
    return {"arms": figures, "transfer": arms.transfer}


def main() -> None:
    """Print one table and write JSON."""
    columns = ("seed", "arm", "busy s", "TTFT p50 ms", "device", "host", "storage", "wasted")
    table = Table(*columns, title="private tokens by the tier they were found in")
    runs = {seed: measure(seed) for seed in range(int(sys.argv[1]) if sys.argv[1:] else 2)}
    for seed, run in runs.items():
        for arm in ARMS:
            figures = run["arms"][arm]
            found = figures["prefix_tokens"]
            wasted = run["transfer"]["wasted_bytes"] / max(1, run["transfer"]["issued_bytes"])
            table.add_row(
                str(seed),
                arm,
                f"{figures['busy_s']:.1f}",
                f"{1000 * figures['ttft_s']['p50']:.0f}",
                *(f"{found[tier] / found['total']:.1%}" for tier in TIERS),
                f"{wasted:.1%}" if arm == "scalesim" else "",
            )
    Console().print(table)
    hicache, ours = (sum(run["arms"][arm]["busy_s"] for run in runs.values()) for arm in ARMS)
    Console().print(f"busy time of all seeds, over hicache's: {ours / hicache:.2f}")
    write("payloads/tiers", runs, agents=AGENTS, active=ACTIVE, steps=STEPS)


if __name__ == "__main__":
    main()

"""A small town on the emulated GPU, in forks of one process; prints what each run did as JSON.

Run: python -m tests.support.small_emulated_town
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import torch

from benchmarks.simulations.emulated_town import TownRun, meetings_of, run_town
from scalesim.deployments.engine.emulation.forks import in_fork
from scalesim.deployments.engine.emulation.inline import import_engine
from scalesim.simulations.arm_run import Stepping

AGENTS, STEPS, SEED = 24, 12, 1


def main() -> None:
    """Run it with the barrier, causally, twice so, and as the oracle; and one where all meet."""
    torch.set_num_threads(1)  # others would not be there after a fork
    import_engine()

    def found(arm: str, stepping: Stepping, met: Any = None, **more: Any) -> dict[str, Any]:
        run = TownRun(arm, stepping, AGENTS, STEPS, SEED, private=512)._replace(**more)
        known = None if met is None else meetings_of(met)
        return in_fork(partial(run_town, run, known), 240.0)

    runs = {
        "barrier": found("hicache", "barrier"),
        "causal": found("scalesim", "causal"),
        "again": found("scalesim", "causal"),
    }
    runs["oracle"] = found("scalesim", "causal", runs["barrier"].get("meetings", []))
    room = {"dense": True, "steps": 6, "slots": 4, "device_share": 0.5}
    crowd = {arm: found(arm, "barrier", **room) for arm in ("hicache", "scalesim")}
    print(json.dumps({"town": runs, "crowd": crowd}))


if __name__ == "__main__":
    main()

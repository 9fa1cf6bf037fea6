"""Random interleavings over a device that takes time: every answer is compared, all is checked.

The real scheduler, cache and plugin; each run starts fresh, is the same for the same seed, and is
shrunk where it fails.

Run: python -m benchmarks.engine.interleavings [--rig prefixes] [--seed 0 ...] [--requests 5000]
Again: python -m benchmarks.engine.interleavings --rig prefixes --seed 17 --requests 1
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.rigs import RIGS, DrawnTimes
from benchmarks.engine.shrinker import shrunk
from benchmarks.gpu.turns import Turn, Turns
from benchmarks.results import FOLDER, write
from scalesim.deployments.engine.emulation.forks import in_fork

RUN_TURNS = 60
"""Turns between two checks: about 200 requests."""

HELD_TOKENS = 8
"""Passes hide no more here: prompts are short, and requests would never be held back for copies."""

_COUNTS = ("outputs", "taken_back", "equal", "tie", "wrong", "passes")
"""Counts of all runs together; the same seed makes the same number of passes, to the last one."""


def main() -> None:
    """Play each rig wanted in a process of its own; exit with 1 where something failed."""
    options = _arguments()
    _hash_alike()
    if options.rig is None:
        asked = [f"--requests={options.requests}", f"--out={options.out}"]
        asked += [
            "--shrink" if options.shrink else "--no-shrink",
            "--seed",
            *map(str, options.seed),
        ]
        command = [sys.executable, "-m", __spec__.name, *asked]
        failed = [rig for rig in RIGS if subprocess.run([*command, "--rig", rig]).returncode]  # noqa: S603
        sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
    with tempfile.TemporaryDirectory(prefix="scalesim-interleavings-") as folder:
        found = play(
            options.rig, options.seed, options.requests, Path(folder), shrink=options.shrink
        )
    write(f"interleavings-{options.rig}", found, options.out)
    print(options.rig, {name: value for name, value in found.items() if name != "failures"})
    for failure in found["failures"]:
        print(failure)
    sys.exit(1 if found["failures"] else 0)


def play(
    name: str, seeds: Sequence[int], requests: int, folder: Path, *, shrink: bool = True
) -> dict[str, Any]:
    """Play runs of one rig, of each seed, seed + 1 and so on, until so many requests were answered.

    A run that fails is shrunk, unless that is not wanted, and reported, and is the last.
    """
    import torch

    from benchmarks.engine.player import Player
    from scalesim.deployments.engine.emulation.device_clock import VirtualClock
    from scalesim.deployments.engine.emulation.inline import InlineEngine

    torch.set_num_threads(1)  # others would not be there after a fork
    rig, times = RIGS[name], DrawnTimes()
    engine = InlineEngine(rig.settings(folder), times, VirtualClock())
    engine.scheduler.tree_cache.pass_tokens = HELD_TOKENS
    player = Player(engine, times, rig)

    def once(turns: list[Turn], of: int) -> dict[str, Any]:
        return in_fork(lambda: player.play(turns, of))

    counts: Counter[str] = Counter()
    made: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    runs, begun = 0, time.monotonic()
    while counts["outputs"] + counts["taken_back"] < requests and not failures:
        of = seeds[runs % len(seeds)] + runs // len(seeds)
        turns = Turns(player.prompts, random.Random(of), stored=rig.stored).draw(RUN_TURNS)
        found = once(turns, of)
        counts.update({count: found.get(count, 0) for count in _COUNTS})
        made.update(found.get("turns", {}))
        runs += 1
        print(name, of, found.get("fault") or f"{counts['outputs']} answers", flush=True)
        if failed(found) and not shrink:
            failures.append({"seed": of, "found": found})
        elif failed(found):
            least = shrunk(turns, lambda some, of=of: failed(once(some, of)))  # type: ignore[misc]
            failures.append({"seed": of, "found": found, "turns": least, "again": once(least, of)})
    return {
        "seeds": list(seeds),
        "runs": runs,
        "hashes": os.environ.get("PYTHONHASHSEED", "random"),
        **counts,
        "turns": dict(made),
        "wrong_page": player.reference.wrong_page,
        "wrong_pages_seen": player.reference.wrong_pages_seen,
        "seconds": round(time.monotonic() - begun, 1),
        "failures": failures,
    }


def failed(found: dict[str, Any]) -> bool:
    """Return whether a run went wrong."""
    return "fault" in found or found["wrong"] > 0


def _hash_alike() -> None:
    """Begin again unless strings hash as in the last run: sets of them are in no order of ours.

    `PYTHONHASHSEED` says how; a run that failed needs the same one to fail again.
    """
    if os.environ.get("PYTHONHASHSEED", "random") == "random":
        variables = os.environ | {"PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], variables)  # noqa: S606


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rig", choices=RIGS, help="all, unless given")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="of first runs, in turn")
    parser.add_argument("--requests", type=int, default=5000, help="of each rig")
    shrinks = argparse.BooleanOptionalAction
    parser.add_argument("--shrink", action=shrinks, default=True, help="what fails")
    parser.add_argument("--out", type=Path, default=FOLDER / "engine", help="folder of the JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()

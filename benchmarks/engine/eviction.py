"""Milliseconds of an eviction over 1,000 to 100,000 leaves, an insertion and a match.

Ours keeps one order; SGLang's two cores, in the same run, use their own LRU. `all moved` are the
first evictions after every agent's distance changed at once.

Processor time of the thread: other processes on the machine are left out.

    python -m benchmarks.engine.eviction [LEAVES,...]
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.engine.pools import BACKEND, PAGE, cache, insert, match
from benchmarks.results import FOLDER, write
from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.prefixes import Prefix

CORES = ("rust", "python", BACKEND)
LENGTH = 2 * PAGE
EVICTIONS = 20
SIZES = [1000, 10_000, 100_000]


class Built(NamedTuple):
    """A core's cache with its leaves, and ours of its agents."""

    cache: Any
    payload: PrefixPayload | None


def timed(calls: list[Callable[[], object]]) -> float:
    """Return the median milliseconds of calls."""
    return median(map(_ms, calls))


def built(core: str, leaves: int) -> Built:
    """Return a cache of so many leaves; with ours, each an agent's."""
    subject = cache(core, leaves * LENGTH + (1 << 20))
    rows = np.random.default_rng(leaves).integers(3, 1 << 30, (leaves, LENGTH))
    payload = PrefixPayload(subject) if core == BACKEND else None
    for key, row in enumerate(rows):
        insert(subject, row.tolist())
        if payload is not None:
            payload.learn(key, Prefix(row, LENGTH, (None, None), LENGTH), None)
    if payload is not None:
        payload.push(range(leaves), [float(key % 97) for key in range(leaves)])
    return Built(subject, payload)


def measure(leaves: int) -> dict[str, dict[str, float]]:
    """Return milliseconds by core and by what was done."""
    from sglang.srt.mem_cache.base_prefix_cache import EvictParams

    cores = {core: built(core, leaves) for core in CORES}
    gc.collect()
    gc.freeze()
    figures: dict[str, dict[str, float]] = {}
    for core, (subject, payload) in cores.items():
        moved = timed([partial(_evict, subject, EvictParams(LENGTH))] * 10)
        if payload is not None:
            with subject.tree_core.evictable_device_leaves.in_order() as walk:
                assert sum(1 for _ in walk) == leaves - 10  # and every leaf is in its place
        figures[core] = {
            "all moved": moved,
            "evict one": timed([partial(_evict, subject, EvictParams(LENGTH))] * EVICTIONS),
            "evict sixteen": timed([partial(_evict, subject, EvictParams(16 * LENGTH))] * 10),
        }
    more = np.random.default_rng(1).integers(3, 1 << 30, (500, 256)).tolist()
    for name, call in (("insert", insert), ("match", match)):
        took: dict[str, list[float]] = {core: [] for core in CORES}
        for number, tokens in enumerate(more):  # in turn, each as often first as last
            for core in (*CORES[number % 3 :], *CORES[: number % 3]):
                took[core].append(_ms(partial(call, cores[core].cache, tokens)))
        for core in CORES:
            figures[core][name] = median(took[core])
    gc.unfreeze()
    return figures


def _ms(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return (time.thread_time() - began) * 1e3


def _evict(subject: Any, params: Any) -> None:
    assert subject.evict(params).num_tokens_evicted == params.num_tokens


def main() -> None:
    """Print a table; write it as JSON where all sizes are measured."""
    sizes = [int(n) for n in sys.argv[1].split(",")] if sys.argv[1:] else SIZES
    figures: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'leaves':>8} {'':>14}", *(f"{core:>10}" for core in CORES), "  ours/rust ours/python")
    for leaves in sizes:
        found = measure(leaves)
        figures[str(leaves)] = found
        for what, ours in found[BACKEND].items():
            cells = " ".join(f"{found[core][what]:10.3f}" for core in CORES)
            ratios = [ours / found[core][what] for core in ("rust", "python")]
            print(f"{leaves:8} {what:>14} {cells} {ratios[0]:10.2f} {ratios[1]:11.2f}", flush=True)
    if sizes == SIZES:
        print(write("eviction", figures, Path(FOLDER) / "engine", unit="ms, median"))


if __name__ == "__main__":
    main()

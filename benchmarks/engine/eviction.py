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
from typing import Any

import numpy as np

from benchmarks.engine.pools import BACKEND, PAGE, cache, insert, match
from benchmarks.results import FOLDER, write
from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.prefixes import Prefix

CORES = ("rust", "python", BACKEND)
LENGTH = 2 * PAGE
EVICTIONS = 20


def timed(calls: list[Callable[[], object]]) -> float:
    """Return the median milliseconds of calls."""
    took = []
    for call in calls:
        began = time.thread_time()
        call()
        took.append(time.thread_time() - began)
    return median(took) * 1e3


def measure(core: str, leaves: int) -> dict[str, float]:
    """Return milliseconds by what was done."""
    from sglang.srt.mem_cache.base_prefix_cache import EvictParams

    subject = cache(core, leaves * LENGTH + (1 << 20))
    rows = np.random.default_rng(leaves).integers(3, 1 << 30, (leaves, LENGTH))
    payload = PrefixPayload(subject) if core == BACKEND else None
    for key, row in enumerate(rows):
        insert(subject, row.tolist())
        if payload is not None:
            payload.learn(key, Prefix(row, LENGTH, (None, None), LENGTH), None)
    if payload is not None:
        payload.push(range(leaves), [float(key % 97) for key in range(leaves)])
        assert not payload._farther
    gc.collect()
    gc.freeze()
    more = np.random.default_rng(1).integers(3, 1 << 30, (500, 256)).tolist()
    moved = timed([lambda: _evict(subject, EvictParams(LENGTH))] * 10)
    if payload is not None:
        with subject.tree_core.evictable_device_leaves.in_order() as walk:
            assert sum(1 for _ in walk) == leaves - 10  # and every leaf is in its place
    figures = {
        "all moved": moved,
        "evict one": timed([lambda: _evict(subject, EvictParams(LENGTH))] * EVICTIONS),
        "evict sixteen": timed([lambda: _evict(subject, EvictParams(16 * LENGTH))] * 10),
        "insert": timed([partial(insert, subject, t) for t in more]),
        "match": timed([partial(match, subject, t) for t in more]),
    }
    gc.unfreeze()
    return figures


def _evict(subject: Any, params: Any) -> None:
    assert subject.evict(params).num_tokens_evicted == params.num_tokens


def main() -> None:
    """Print a table and write it as JSON."""
    sizes = [int(n) for n in sys.argv[1].split(",")] if sys.argv[1:] else [1000, 10_000, 100_000]
    figures: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'leaves':>8} {'':>14}", *(f"{core:>10}" for core in CORES), "  ours/rust ours/python")
    for leaves in sizes:
        found = {core: measure(core, leaves) for core in CORES}
        figures[str(leaves)] = found
        for what, ours in found[BACKEND].items():
            cells = " ".join(f"{found[core][what]:10.3f}" for core in CORES)
            ratios = [ours / found[core][what] for core in ("rust", "python")]
            print(f"{leaves:8} {what:>14} {cells} {ratios[0]:10.2f} {ratios[1]:11.2f}", flush=True)
    print(write("eviction", figures, Path(FOLDER) / "engine", unit="ms, median"))


if __name__ == "__main__":
    main()

"""Replay speed over a million Zipf requests of 100,000 agents, beside other libraries.

cachetools is a Python peer; libcachesim (GPL, C++) is measured where it happens to be installed.

    python -m benchmarks.policies.speed [SEEDS]
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.results import write
from scalesim.policies.replay.orders.belady import belady, next_uses
from scalesim.policies.replay.orders.lfu import gdsf
from scalesim.policies.replay.orders.lru import lru
from scalesim.policies.replay.orders.s3fifo import s3fifo

AGENTS, REQUESTS, CAPACITY, REPEATS = 100_000, 1_000_000, 10_000, 5
UNIT = np.ones(AGENTS, np.int64)


def zipf(seed: int) -> np.ndarray:
    """Return int32[REQUESTS], popularity falling as 1/rank."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, AGENTS + 1)
    drawn = rng.choice(AGENTS, REQUESTS, p=weight / weight.sum())
    return rng.permutation(AGENTS)[drawn].astype(np.int32)


def cachetools_lru(requests: np.ndarray) -> float:
    """Return the hit ratio of `cachetools.LRUCache`."""
    from cachetools import LRUCache

    cache: LRUCache[int, None] = LRUCache(CAPACITY)
    hits = 0
    for agent in requests.tolist():
        if agent in cache:
            hits += 1
            cache[agent]
        else:
            cache[agent] = None
    return hits / len(requests)


def libcachesim(name: str, requests: np.ndarray, folder: Path) -> Callable[[], float] | None:
    """Return a replay by libcachesim's own loop, None where it is not installed."""
    try:
        import libcachesim as lcs
    except ImportError:
        return None
    layout = [("time", "<u4"), ("agent", "<u8"), ("size", "<u4"), ("next", "<i8")]
    rows = np.zeros(len(requests), layout)
    rows["agent"], rows["size"] = requests, 1
    following = next_uses(requests, AGENTS)
    rows["next"] = np.where(following < len(requests), following, -1)
    path = folder / "trace.oracleGeneral"
    rows.tofile(path)

    def play() -> float:
        reader = lcs.TraceReader(str(path), lcs.TraceType.ORACLE_GENERAL_TRACE)
        misses, _ = getattr(lcs, name)(cache_size=CAPACITY).process_trace(reader)
        return 1.0 - float(misses)

    return play


def _share(order: Callable[..., np.ndarray], *arguments: object) -> float:
    return float(order(*arguments).mean())


def _belady(requests: np.ndarray) -> float:
    return _share(belady, requests, next_uses(requests, AGENTS), AGENTS, CAPACITY)


def main(seeds: int, folder: Path) -> None:
    """Print millions of requests a second, medians over seeds of the best of five runs."""
    speeds: dict[str, list[float]] = {}
    ratios: dict[str, float] = {}
    for seed in range(seeds):
        requests = zipf(seed)
        plays: dict[str, Callable[[], float] | None] = {
            "lru": partial(_share, lru, requests, UNIT, CAPACITY),
            "s3fifo": partial(_share, s3fifo, requests, UNIT, CAPACITY),
            "gdsf": partial(_share, gdsf, requests, UNIT, np.ones(AGENTS), CAPACITY),
            "belady": partial(_belady, requests),
            "cachetools lru": partial(cachetools_lru, requests),
            "libcachesim lru": libcachesim("LRU", requests, folder),
            "libcachesim s3fifo": libcachesim("S3FIFO", requests, folder),
            "libcachesim belady": libcachesim("Belady", requests, folder),
        }
        for name, play in plays.items():
            if play is None:
                continue
            ratios[name] = float(play())
            taken = [_timed(play) for _ in range(REPEATS if "cachetools" not in name else 1)]
            speeds.setdefault(name, []).append(REQUESTS / min(taken) / 1e6)
    rows = {
        name: {"m_requests_per_s": median(values), "hit_ratio": ratios[name]}
        for name, values in speeds.items()
    }
    for name, row in rows.items():
        print(f"{name:20} {row['m_requests_per_s']:8.1f} M/s   hits {row['hit_ratio']:.4f}")
    ours, peer = (rows[name]["m_requests_per_s"] for name in ("lru", "cachetools lru"))
    print(f"lru over cachetools  {ours / peer:8.0f} x")
    write("policies/speed", rows, seeds=seeds)


def _timed(play: Callable[[], float]) -> float:
    began = time.perf_counter()
    play()
    return time.perf_counter() - began


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, Path(temporary))

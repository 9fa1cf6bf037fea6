"""Milliseconds that all our work takes in one pass of the scheduler: 10,000 agents, 1,000 requests.

Three requests come, three finish and teach an agent's prefix in every pass; every 50 passes the
controller sends the distances of all agents and orders 200 moves; once it asks for everything.

Processor time of the thread: other processes on the machine are left out, but for what they do to
the caches. Every run makes the same passes, so the least that a pass took in several runs is what
its work costs; both are shown, and what the longest passes did. SGLang's own loads and evictions of
the moved nodes are counted, and shown apart. Requests are made beforehand: garbage that is
collected within a pass is ours.

    python -m benchmarks.engine.passes [PASSES] [RUNS]
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.engine.pools import BACKEND, PAGE, cache, insert
from benchmarks.results import FOLDER, write
from scalesim.deployments.engine.directive_executor import DirectiveExecutor
from scalesim.deployments.engine.identity_envelope import HINT_TYPE
from scalesim.deployments.engine.messages import encode
from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.deployments.engine.sglang.requests_in_use import LiveRequests
from scalesim.vocabulary import PREFIX, Directives, DistanceUpdate, Moves, Tier, Verb

PARTS = ("learn", "accept", "work", "all")
BESIDE = ("of it SGLang's", "wall", "garbage", "moves")
"""Milliseconds but for the moves; `garbage` is the collection of it, within the others."""

LONGEST = 5

AGENTS, REQUESTS, FINISHED, EVERY, MOVED = 10_000, 1000, 3, 50, 200
HEAD, LENGTH = 256, 16 * PAGE
RESIDENT = AGENTS // 4


class FakeRequest(SimpleNamespace):
    """One request, equal to itself alone as SGLang's are."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def finished(self) -> bool:
        """Return whether the request is to leave the batch: it never is."""
        return False


class FakeScheduler(SimpleNamespace):
    """Requests of agents in turn; half wait, half run."""

    def __init__(self) -> None:
        super().__init__(last_batch=None, chunked_req=None, waiting_queue=[], run_batch=None)
        self.running_batch = SimpleNamespace(reqs=[])
        self.next = 0
        self.made = [_request(key) for key in range(AGENTS)]
        self.requests = LiveRequests(self)
        for _ in range(REQUESTS):
            self._add_request_to_queue(self.request())
            self.admit()

    def request(self) -> FakeRequest:
        """Return a request of the next agent."""
        self.next += 1
        return self.made[(self.next - 1) % AGENTS]

    def _add_request_to_queue(self, request: FakeRequest) -> None:
        self.waiting_queue.append(request)

    def _release_aborted_request(self, request: FakeRequest) -> None:
        """SGLang's drops what its cache holds of it."""

    def admit(self) -> None:
        """The first that waits runs."""
        if len(self.waiting_queue) > REQUESTS // 2:
            self.running_batch.reqs.append(self.waiting_queue.pop(0))

    def finish(self) -> FakeRequest:
        """The oldest running request is done; return it."""
        request: FakeRequest = self.running_batch.reqs.pop(0)
        return request


def _request(key: int) -> FakeRequest:
    payload = {"key": key, "next_use": None, "model": ""}
    action = SimpleNamespace(action_type=HINT_TYPE, payload=payload)
    return FakeRequest(kv_hints=SimpleNamespace(actions=[action]), key=key)


def prompts() -> Any:
    """Return int64[AGENTS, HEAD + LENGTH]; all share the head."""
    rng = np.random.default_rng(0)
    own = rng.integers(3, 1 << 30, (AGENTS, LENGTH))
    return np.hstack([np.tile(rng.integers(3, 1 << 30, HEAD), (AGENTS, 1)), own])


def directives(sequence: int) -> bytes:
    """Return a plan of the controller: everybody's distance, some moves each way.

    Agents act in turn; those that acted since the last plan are the farthest now.
    """
    keys = np.arange(AGENTS)
    distances = ((keys - sequence * FINISHED) % AGENTS).astype(np.float32)
    order = np.argsort(distances)
    chosen = np.concatenate([order[-MOVED // 2 :], order[: MOVED // 2]])
    verbs = np.repeat(np.array([Verb.DEMOTE, Verb.PREFETCH], np.uint8), MOVED // 2)
    tiers = np.repeat(np.array([Tier.HOST, Tier.DEVICE], np.uint8), MOVED // 2)
    return encode(
        Directives(
            1,
            sequence,
            distance_updates=(DistanceUpdate(PREFIX, keys, distances),),
            moves=(Moves(PREFIX, verbs, chosen, tiers),),
        )
    )


def run(passes: int) -> dict[str, list[float]]:
    """Return milliseconds of each pass, by part."""
    rows = prompts()
    subject = cache(BACKEND, RESIDENT * LENGTH + HEAD)
    scheduler = FakeScheduler()
    subject.attend(scheduler, scheduler.requests)
    payload, sent = PrefixPayload(subject), 0
    for key, row in enumerate(rows):
        if subject.token_to_kv_pool_allocator.available_size() < LENGTH + HEAD:
            _room(subject, LENGTH + HEAD)
        insert(subject, row.tolist())
        payload.learn(key, Prefix(row, len(row), (None, None), len(row)), None)

    def send(message: Any) -> bool:
        nonlocal sent
        sent += len(encode(message))
        return True

    executor = DirectiveExecutor({PREFIX: payload}, send)
    while executor.work():
        pass  # what was learned until here is reported
    sent = 0
    took: dict[str, list[float]] = {part: [] for part in (*PARTS, *BESIDE)}
    clock, garbage = _SGLangsShare(subject), _Garbage()
    gc.collect()
    gc.freeze()
    for number in range(passes):
        came = [scheduler.request() for _ in range(FINISHED)]
        frames = [directives(number)] if number % EVERY == EVERY - 1 else []
        if number == passes // 2:
            frames.append(encode(Directives(1, number, resync=True)))
        done = [scheduler.finish() for _ in range(FINISHED)]
        _sglangs_own(subject)
        garbage.take()
        began, times = time.perf_counter(), [time.thread_time()]
        for request in came:
            scheduler._add_request_to_queue(request)
        for request in done:
            key, row = request.key, rows[request.key]
            scheduler.requests.left(request)
            payload.used(key, 0)
            payload.learn(key, Prefix(row, len(row), (None, None), len(row)), None)
        times.append(time.thread_time())
        executor.accept(frames)
        times.append(time.thread_time())
        scheduler.requests.look()
        executor.work()
        times.append(time.thread_time())
        wall = time.perf_counter() - began
        moves, sglangs = clock.take()
        for _ in came:
            scheduler.admit()
        spent = (*np.diff(times), times[-1] - times[0], sglangs, wall, garbage.take())
        for part, seconds in zip((*PARTS, *BESIDE), spent, strict=False):
            took[part].append(float(seconds) * 1e3)
        took["moves"].append(moves)
    gc.unfreeze()
    return took


class _SGLangsShare:
    """Times what SGLang's cache does of the moves: its load, its eviction of a leaf."""

    def __init__(self, subject: Any) -> None:
        self._seconds, self._calls = 0.0, 0
        for name in ("load", "_evict_device_leaf"):
            setattr(subject, name, self._timed(getattr(subject, name)))

    def _timed(self, call: Any) -> Any:
        def timed(*args: Any, **more: Any) -> Any:
            began = time.thread_time()
            result = call(*args, **more)
            self._seconds += time.thread_time() - began
            self._calls += 1
            return result

        return timed

    def take(self) -> tuple[int, float]:
        """Return the calls since the last look, and their seconds."""
        taken = self._calls, self._seconds
        self._calls, self._seconds = 0, 0.0
        return taken


class _Garbage:
    """Times the collections of garbage."""

    def __init__(self) -> None:
        self._seconds = self._began = 0.0
        gc.callbacks.append(self._collects)

    def _collects(self, phase: str, _: Any) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._seconds += time.thread_time() - self._began

    def take(self) -> float:
        """Return the seconds since the last look."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


def _room(subject: Any, tokens: int) -> None:
    from sglang.srt.mem_cache.base_prefix_cache import EvictParams

    subject.evict_for_alloc(EvictParams(tokens))


def _sglangs_own(subject: Any) -> None:
    """What SGLang's cache does itself at the start of a pass."""
    from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache

    UnifiedRadixCache.check_hicache_events(subject)
    controller = subject.cache_controller
    subject.loading_check(finish_count=len(controller.ack_load_queue))
    subject.writing_check(finish_count=len(controller.ack_write_queue))


def several(passes: int, runs: int) -> list[dict[str, list[float]]]:
    """Return what each of several runs took, in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, str(passes), "alone"]
    outputs = [subprocess.run(command, stdout=subprocess.PIPE, check=True) for _ in range(runs)]  # noqa: S603
    return [json.loads(each.stdout.splitlines()[-1]) for each in outputs]


def table(title: str, took: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Print what passes took, by part, and return it."""
    figures = {}
    print(f"{title:>24} {'median':>8} {'mean':>8} {'99%':>8} {'worst':>8}")
    for part in (*PARTS, *BESIDE[:-1]):
        median, most, worst = np.percentile(took[part], (50, 99, 100)).tolist()
        mean = float(np.mean(took[part]))
        figures[part] = {"median": median, "mean": mean, "99%": most, "worst": worst}
        print(f"{part:>24} {median:8.3f} {mean:8.3f} {most:8.3f} {worst:8.3f}")
    return figures


def main() -> None:
    """Print tables and write them as JSON."""
    passes = int(sys.argv[1]) if sys.argv[1:] else 2000
    if sys.argv[2:] == ["alone"]:
        print(json.dumps(run(passes)))
        return
    runs = several(passes, int(sys.argv[2]) if sys.argv[2:] else 3)
    least = {part: np.min([each[part] for each in runs], axis=0).tolist() for part in runs[0]}
    figures: dict[str, Any] = {
        "one run": table("ms a pass, one run", runs[0]),
        "least": table(f"least of {len(runs)} runs", least),
    }
    columns = (*PARTS, *BESIDE)
    print("the longest passes:", *(f"{column:>15}" for column in columns))
    for number in np.argsort(least["all"])[: -LONGEST - 1 : -1].tolist():
        print(f"{number:18}", *(f"{least[column][number]:15.3f}" for column in columns))
    moving = np.array(least["moves"]) > 0
    figures["passes that move something"] = float(moving.mean())
    print(f"{moving.mean():.0%} of the passes move something")
    runs_of = {"passes": passes, "runs": len(runs)}
    print(write("passes", figures, Path(FOLDER) / "engine", unit="ms", **runs_of))


if __name__ == "__main__":
    main()

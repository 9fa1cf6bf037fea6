"""Everything once, in ten minutes on a GPU: what to run where one is at hand only for so long.

Kernels, links, races, prices, then arms that take turns on engines which are there all the time:
what is not timed goes on beside something else that is not.

Run: python -m benchmarks.gpu.first_run [--small] [--minutes 9.5]
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from benchmarks.gpu.arm_process import ArmProcess, PriceRequest, WorkloadRequest
from benchmarks.gpu.calibrate import calibration, gpu_name
from benchmarks.gpu.engines import Setup
from benchmarks.gpu.gains_table import print_gains
from benchmarks.gpu.link_speeds import by_block, storage_bytes_per_s
from benchmarks.gpu.options import Options, main
from benchmarks.gpu.result_file import ResultFile
from benchmarks.gpu.runs_summary import side_by_side
from benchmarks.gpu.shapes import adapters_for, folder_of, parameters_of
from scalesim.deployments import machine
from scalesim.errors import UnavailableError
from scalesim.policies.capacity.hardware import GPUS
from scalesim.simulations.workload import PromptSize

_START_S = 180.0
_RUN_S = 120.0
_WARMING = 64
"""Agents, and calls about, before anything is timed: what runs at once is as much as later."""


class TimedRun(NamedTuple):
    """One line: a workload, and the arms that run it, in this order."""

    name: str
    request: WorkloadRequest
    arms: tuple[str, ...]


class MeasuredRound(NamedTuple):
    """Engines of one setup that are there at once, and what is asked of them.

    Attributes:
        name: Of the round.
        setup: Of all its engines.
        race: Part of `races` that is played while they start.
        race_minutes: For it.
        prices: What `scalesim` is asked for first.
        timed: In their order.
    """

    name: str
    setup: Setup
    race: str
    race_minutes: float
    prices: PriceRequest
    timed: tuple[TimedRun, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Return the arms of all runs, once each."""
        return tuple(dict.fromkeys(arm for run in self.timed for arm in run.arms))


_BOTH, _OURS_FIRST = ("hicache", "scalesim"), ("scalesim", "hicache")
_SHORT, _TWO = PromptSize(1024, 64, 16), PromptSize(2048, 64, 16)
_LONG = PromptSize(1024, 64, 64)
FULL = (
    # 66,000 tokens on the device, 290,000 in host memory: a quarter, and all with some room.
    MeasuredRound(
        "llama-3.1-8b",
        Setup("llama-3.1-8b", 125, _TWO, host_share=1.1),
        "prefixes",
        2.3,
        PriceRequest(48, PromptSize(1024, 64, 64)),
        (
            TimedRun("250 agents, 1k, 16", WorkloadRequest(250, _SHORT), _BOTH),
            TimedRun("125 agents, 2k, 16", WorkloadRequest(125, _TWO, 200), _OURS_FIRST),
            TimedRun(
                "125 agents, 2k, 16, no pause",
                WorkloadRequest(125, _TWO, 200, think_s=0.0),
                _BOTH,
            ),
            TimedRun("250 agents, 1k, 64", WorkloadRequest(250, _LONG, 200), _OURS_FIRST),
            TimedRun("250 agents, 1k, 16", WorkloadRequest(250, _SHORT), ("stock",)),
        ),
    ),
    MeasuredRound(
        "llama-3.1-8b with 125 adapters",
        Setup("llama-3.1-8b", 125, _SHORT, host_share=1.1, adapters=125, rank=32),
        "adapters",
        1.2,
        PriceRequest(30, PromptSize(1024, 16, 16)),
        (TimedRun("125 adapters, 1k, 16", WorkloadRequest(125, _SHORT, 200), _BOTH),),
    ),
)
_TINY = Setup("tiny", 12, PromptSize(256, 16, 4), dtype="float32", distinct=True)
_FEW = WorkloadRequest(12, PromptSize(256, 16, 4), 12)
SMALL = (
    MeasuredRound(
        "tiny",
        _TINY,
        "prefixes",
        4.0,
        PriceRequest(2, PromptSize(256, 16, 4)),
        (
            TimedRun("12 agents", _FEW, _BOTH),
            TimedRun("12 agents, no pause", _FEW._replace(think_s=0.0), _OURS_FIRST),
            TimedRun("12 agents", _FEW, ("stock",)),
        ),
    ),
    MeasuredRound(
        "tiny with adapters",
        _TINY._replace(adapters=8),
        "adapters",
        4.0,
        PriceRequest(2, PromptSize(256, 16, 4)),
        (TimedRun("8 adapters", _FEW, _BOTH),),
    ),
)


async def run(options: Options) -> bool:
    """Run everything; return whether nothing failed and no answer was wrong."""
    return await asyncio.to_thread(_FirstRun(options).run)


class _FirstRun:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._results = ResultFile("first_run", options.out, options.minutes)
        self._faults: list[str] = []
        self._begun = time.monotonic()
        self._lines: dict[str, Any] = {}
        self._storage = 0.0

    def run(self) -> bool:
        self._say("machine", machine.look()._asdict())
        with _beside("kernel_builds") as kernels:
            self._links()
            with self._noting("kernels"):
                kernels.wait(_START_S)
        for each in SMALL if self._options.small else FULL:
            if self._options.wants(each.name) and self._results.room(each.name, 60.0):
                self._play(each)
        print_gains(self._lines)
        self._say("faults", self._faults)
        return not self._faults

    def _links(self) -> None:
        small = self._options.small
        links = by_block(2**20 if small else 2**26)
        self._storage = storage_bytes_per_s(2**22 if small else 2**28, self._options.scratch)
        self._say("links", {"GB_per_s": links, "storage_bytes_per_s": round(self._storage)})

    def _play(self, each: MeasuredRound) -> None:
        setup, scratch = each.setup, self._options.scratch
        model, _ = folder_of(setup.model, scratch, weights=bool(setup.adapters))
        if setup.adapters:
            adapters_for(model, setup.adapters, setup.rank, distinct=setup.distinct)
        with ExitStack() as stack:
            races = stack.enter_context(_beside("races", *self._race(each)))
            engines = {arm: ArmProcess(arm, setup, scratch) for arm in each.arms}
            for engine in engines.values():
                stack.callback(engine.stop)
            with self._noting(f"races {each.race}"):
                if races.wait(60 * each.race_minutes + 60):
                    raise UnavailableError("a wrong answer, or no end: see races.json")
            self._say(f"races {each.race} ended", None)
            for arm in each.arms:
                with self._noting(f"{each.name}: {arm}"):
                    engines[arm].wait_started(_START_S)
                    self._say(f"{each.name}: {arm} started", None)
            with self._noting(f"{each.name}: prices"):
                # First: an adapter that a workload's agents had as well would not leave its slot.
                self._prices(each, engines["scalesim"])
            self._warm(each, engines)
            done: dict[str, dict[str, Any]] = {}
            for timed in each.timed:
                self._time(each, timed, engines, done)

    def _warm(self, each: MeasuredRound, engines: Mapping[str, ArmProcess]) -> None:
        """Have Triton build its kernels, which the first arm alone would be timed with."""
        request = each.timed[0].request
        few = request._replace(agents=min(request.agents, _WARMING), calls=_WARMING, active=0.5)
        for arm, engine in engines.items():
            with self._noting(f"{each.name}: {arm} warming up"):
                engine.ask(few, _RUN_S)

    def _race(self, each: MeasuredRound) -> list[str]:
        out = self._options.out / f"first_run-{each.race}"
        arguments = ["--only", each.race, "--minutes", str(each.race_minutes), "--out", str(out)]
        return [*arguments, *["--small"] * self._options.small]

    def _prices(self, each: MeasuredRound, engine: ArmProcess) -> None:
        found, bytes_per_token = engine.ask(each.prices, _RUN_S)
        name = gpu_name()
        parameters = parameters_of(self._options.scratch / each.setup.model)
        values = calibration(found, GPUS[name], parameters, bytes_per_token, self._storage)
        self._say(f"{each.name}: prices", {**found._asdict(), "gpu": name, "calibration": values})

    def _time(
        self,
        each: MeasuredRound,
        timed: TimedRun,
        engines: Mapping[str, ArmProcess],
        done: dict[str, dict[str, Any]],
    ) -> None:
        for arm in timed.arms:
            if not self._results.room(f"{timed.name} {arm}", 20.0):
                continue
            with self._noting(f"{timed.name}: {arm}"):
                figures = engines[arm].ask(timed.request, _RUN_S)
                done.setdefault(timed.name, {})[arm] = [figures]
                self._lines[timed.name] = _line(each, timed, done[timed.name])
                self._say(timed.name, self._lines[timed.name])

    def _say(self, name: str, figures: Any) -> None:
        elapsed = time.monotonic() - self._begun
        print(f"[{elapsed:.0f} s] {name}: {_brief(figures)}", flush=True)
        if figures is not None:
            self._results.add(name, figures)

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            yield
        except (UnavailableError, subprocess.TimeoutExpired) as fault:
            self._faults.append(f"{what}: {fault}")
            print(self._faults[-1], flush=True)
            self._results.add("faults", self._faults)


def _line(
    each: MeasuredRound, timed: TimedRun, arms: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    return {
        "setup": each.setup._asdict(),
        "workload": timed.request._asdict(),
        **side_by_side(arms),
    }


def _brief(figures: Any) -> str:
    if isinstance(figures, dict) and "arms" in figures:
        busy = {arm: runs["busy_s"]["median"] for arm, runs in figures["arms"].items()}
        return f"busy_s {busy}"
    return str(figures)[:1500]


@contextmanager
def _beside(part: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a part of this folder beside this process, and end it with the block."""
    command = [sys.executable, "-m", f"{__package__}.{part}", *arguments]
    process = subprocess.Popen(command)  # noqa: S603
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main(run)

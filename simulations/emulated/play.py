"""One arm of one case on the virtual clock, in this process: SGLang keeps state in modules."""

from __future__ import annotations

from collections import Counter
from math import inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scalesim.deployments import random_model
from scalesim.deployments.engine.emulation.inline import Script
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.identity import agent_key
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import ArmOptions, EmulatedCase
from scalesim.simulations.emulated.emulated_controller import CALL_S
from scalesim.simulations.emulated.emulated_stack import EmulatedStack
from scalesim.simulations.emulated.hint_noise import HintNoise
from scalesim.simulations.workload import Workload
from scalesim.vocabulary import COUNTED, TIERS, TransferStats

_FIRST_WORD = 3
_WARMUP_CONCURRENCY = 8


class PlayedCall(NamedTuple):
    """One call of an agent."""

    step: int
    row: int
    sent_s: float
    asked: EmulatedRequest


def play(
    case: EmulatedCase, options: ArmOptions, emulation: EmulationSettings, folder: Path
) -> dict[str, Any]:
    """Run an arm and return its figures, all in seconds of the emulated GPU."""
    workload = case.made()
    stack = EmulatedStack(case, options, emulation, workload.name, folder)
    playing = _Playing(case, options, workload, stack)
    stack.engine.run(playing.script())
    return playing.figures() | {"timeline": stack.timeline.of(*playing.span)}


class _Playing:
    """Who calls, when."""

    def __init__(
        self,
        case: EmulatedCase,
        options: ArmOptions,
        workload: Workload,
        stack: EmulatedStack,
    ) -> None:
        self._case = case
        self._options = options
        self._workload = workload
        self._engine, self._clock, self._plane = stack.engine, stack.clock, stack.plane
        self._stack, self._call_s = stack, stack.call_s
        make = options.peer
        self._peer = None if make is None else make(len(workload.agents))
        self._noise = HintNoise(case.noise, len(workload.agents), case.seed)
        self._calls: list[PlayedCall] = []
        self._step_s: list[float] = []
        self._before: dict[str, TransferStats] = {}
        self.span = (0.0, 0.0)

    def script(self) -> Script:
        """Warm up, then take all steps."""
        adapters = self._engine.settings.adapters
        if adapters is not None:
            yield from self._engine.load_adapters(Path(adapters.roots[0]), adapters.loaded)
        yield from self._step(0, _WARMUP_CONCURRENCY)
        self._before = dict(self._engine.transfers)
        yield from self._think()
        for step in range(1, self._workload.steps + 1):
            begun = self._clock.now()
            yield from self._step(step, self._case.concurrency)
            if len(self._workload.schedule.calls(step)):
                self._step_s.append(self._clock.now() - begun)
            self.span = (begun, self._clock.now())
            yield from self._think()

    def _think(self) -> Script:
        yield from self._until(self._clock.now() + self._case.think_s)

    def _until(self, when: float) -> Script:
        while self._clock.now() < when:
            self._stack.go_on()
            yield

    def _step(self, step: int, concurrency: int) -> Script:
        """Make all calls of a step."""
        self._report(step)
        schedule = self._workload.schedule
        next_use = schedule.next_use(step)
        left = schedule.calls(step).tolist()
        reports = self._plane is not None and self._options.foreseen is not None
        running: list[PlayedCall] = []
        coming: list[tuple[float, int]] = []
        counts: dict[int, int] = {}
        calls = Counter(left)
        at_work: set[int] = set()
        free_s = 0.0
        while left or coming or running:
            now = self._clock.now()
            for row in list(dict.fromkeys(left)):  # an agent's calls follow each other
                if len(at_work) < concurrency and row not in at_work:
                    at_work.add(row)
                    left.remove(row)
                    free_s = max(now, free_s)  # callers share a processor
                    coming.append((free_s, row))
                    free_s += self._call_s
            for sent_s, row in [each for each in coming if each[0] + CALL_S <= now]:
                coming.remove((sent_s, row))
                counts[row] = counts.get(row, -1) + 1
                last = counts[row] == calls[row] - 1
                ahead = self._next_use(step, row, next_use[row]) - step if last and reports else inf
                asked = self._ask(step, row, counts[row], ahead)
                running.append(PlayedCall(step, row, sent_s, asked))
            for called in [each for each in running if each.asked.done]:
                running.remove(called)
                at_work.discard(called.row)
                self._calls.append(called)
                if reports and self._plane is not None:
                    name = self._workload.agents[called.row]
                    at = self._next_use(step, called.row, next_use[called.row])
                    self._plane.wake(name, at)
            self._stack.go_on()
            yield
        # The last answer is on its way to its caller.
        yield from self._until(self._clock.now() + CALL_S)

    def _next_use(self, step: int, row: int, at: float) -> float:
        return self._noise.next_use(step, row, float(at))

    def _report(self, step: int) -> None:
        """Report who calls in a step and in those that are foreseen."""
        if self._plane is None or self._options.foreseen is None:
            if self._plane is not None and self._peer is not None:
                self._plane.step(step, {})
            return
        schedule, names = self._workload.schedule, self._workload.agents
        ahead: dict[str, float] = {}
        for later in reversed(range(self._options.foreseen + 1)):
            if step + later >= len(schedule):
                continue
            rows = self._noise.foreseen(step, later, schedule.active(step + later)).tolist()
            spacing = 1.0 / max(len(rows), 1) if schedule.ordered else 0.0
            ahead |= {names[row]: later + place * spacing for place, row in enumerate(rows)}
        self._plane.step(step, ahead)

    def _ask(self, step: int, row: int, call: int, ahead: float) -> EmulatedRequest:
        size, seed = self._case.size, self._case.seed
        ids = [
            1,
            *words_of(size.private, seed, row),
            *words_of(size.observation, seed, row, step, call),
        ]
        if self._peer is not None and self._plane is not None:
            self._peer.asked(step, row)
            self._plane.predict(self._predicted)
        more: dict[str, Any] = {}
        if isfinite(ahead):  # as `simulations.scheduled_world` says it
            more["next_use"] = float(self._options.reported(np.array([ahead]))[0])
        if self._case.adapters:
            more["lora_id"] = f"adapter-{row % self._case.adapters}"
        return self._engine.ask(
            ids,
            size.output,
            agent_key(self._workload.name, self._workload.agents[row]),
            stream=True,
            return_logprob=False,
            top_logprobs_num=0,
            **more,
        )

    def _predicted(self) -> dict[str, float]:
        assert self._peer is not None
        return dict(zip(self._workload.agents, self._peer.distances().tolist(), strict=True))

    def figures(self) -> dict[str, Any]:
        """Return what the arm did after the warm-up."""
        calls = [called for called in self._calls if called.step]
        ttft = np.array([called.asked.first_s - called.sent_s + CALL_S for called in calls])
        found = dict.fromkeys((*TIERS, "total"), 0)
        for called in calls:
            details = (called.asked.meta or {})["cached_tokens_details"] or {}
            left = self._case.prefix
            found["total"] += left
            for tier in TIERS:
                here = min(left, details.get(tier) or 0)
                found[tier] += here
                left -= here
        transfers = {
            kind: _since(now, self._before.get(kind))
            for kind, now in self._engine.transfers.items()
        }
        answers = sorted((c.row, c.step, tuple(c.asked.tokens or ())) for c in calls)
        return {
            "busy_s": sum(self._step_s),
            "steps": self._step_s,
            "calls": len(calls),
            "ttft_s": {f"p{q}": float(np.percentile(ttft, q)) for q in (50, 95, 99)},
            "found": found,
            "transfers": transfers,
            "answers": hash(tuple(answers)),
        }


def _since(now: TransferStats, before: TransferStats | None) -> dict[str, float]:
    then = before or TransferStats(now.kind)
    counts = {name: getattr(now, name) - getattr(then, name) for name in COUNTED}
    return {name: count for name, count in counts.items() if count}


def words_of(count: int, *path: int) -> list[int]:
    """Return so many words, drawn by a path of numbers."""
    drawn = np.random.default_rng(path).integers(0, random_model.WORDS, count)
    return [_FIRST_WORD + int(word) for word in drawn]

"""Several emulated replicas behind one controller: a society, and where its requests go."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np

from scalesim.deployments.engine.emulation.inline import Script
from scalesim.deployments.placement_view import PlacementView
from scalesim.identity import agent_keys
from scalesim.settings import ControllerSettings, EmulationSettings
from scalesim.simulations.emulated.emulated_case import ARMS, EmulatedCase
from scalesim.simulations.emulated.emulated_controller import CALL_S, ControlPlane
from scalesim.simulations.emulated.fleet_engine import FleetAnswer, FleetEngine, FleetRequest
from scalesim.simulations.emulated.play import words_of
from scalesim.vocabulary import Directives

Routing = Literal["leveled", "hashed", "least loaded", "random"]
"""Where a request goes: to its agent's placement, with moves or only hashed; or wherever there is
least load, or anywhere."""

ROUTINGS: tuple[Routing, ...] = ("leveled", "hashed", "least loaded", "random")

_LOOKAHEAD_S = 1e-3
"""How far an engine may be ahead of the others: less than any message between them takes."""

_WARMUP_CONCURRENCY = 8


class FleetFigures(NamedTuple):
    """What a run took, after its warm-up.

    Attributes:
        step_s: Seconds of each step.
        ttft_s: Times to first token of each call.
        device_share: Of all private tokens, those found on the device.
        largest_share: Of a step's calls, what the busiest replica had, times replicas: 1 is level;
            mean of the steps.
        moved: Agents that the controller moved.
        answers: Hash of all calls together: equal where all tokens are.
    """

    step_s: list[float]
    ttft_s: list[float]
    device_share: float
    largest_share: float
    moved: int
    answers: int


def run_fleet(
    case: EmulatedCase, replicas: int, arm: str, routing: Routing, emulation: EmulationSettings
) -> FleetFigures:
    """Play a case on so many replicas, each with an equal share of its memory.

    Args:
        case: All agents, and the memory that all replicas have together.
        replicas: How many.
        arm: A name of `ARMS`.
        routing: Where requests go.
        emulation: Names the GPU and the model.

    Raises:
        EngineMismatchError: An engine ended.
    """
    own = case._replace(agents=case.agents // replicas)
    engines = [
        FleetEngine(f"replica-{number:02}", own, ARMS[arm], emulation) for number in range(replicas)
    ]
    try:
        return _FleetRun(case, engines, arm, routing).figures()
    finally:
        for engine in engines:
            engine.close()


class _FleetRun:
    """Who calls, when and where."""

    def __init__(
        self, case: EmulatedCase, engines: list[FleetEngine], arm: str, routing: Routing
    ) -> None:
        self._case, self._engines, self._routing = case, engines, routing
        self._by_name = {engine.name: engine for engine in engines}
        self._workload = case.made()
        self._keys = agent_keys(self._workload.name, list(self._workload.agents))
        self._rng = np.random.default_rng(case.seed)
        self._view = PlacementView()
        self._plane: ControlPlane | None = None
        if ARMS[arm].arm == "scalesim":
            leveling = {} if routing == "leveled" else {"leveling_moves": 0}
            settings = ControllerSettings(**leveling)
            name = self._workload.name
            self._plane = ControlPlane(self._now, ARMS[arm], self._obey, name, settings)
        self._sent: dict[int, tuple[int, int, float]] = {}
        self._answers: list[tuple[int, int, float, FleetAnswer]] = []
        self._shares: list[float] = []
        self._step_s: list[float] = []

    def figures(self) -> FleetFigures:
        """Run to the end."""
        for engine in self._engines:
            self._take(engine)
        for _ in self._script():
            behind = min(self._engines, key=lambda engine: engine.now)
            behind.go_on(behind.now + _LOOKAHEAD_S)
            self._take(behind)
            if self._plane is not None:
                self._plane.go_on()
                if self._plane.core.placement_version != self._view.version:
                    self._view.apply(self._plane.core.placements(self._view.version))
        found = [
            min(answer.found.get("device", 0), self._case.prefix) for *_, answer in self._counted()
        ]
        texts = sorted((row, step, tuple(answer.tokens)) for row, step, _, answer in self._answers)
        return FleetFigures(
            self._step_s,
            [answer.first_s - sent_s + CALL_S for _, _, sent_s, answer in self._counted()],
            sum(found) / (len(found) * self._case.prefix),
            float(np.mean(self._shares)),
            0 if self._plane is None else int(self._plane.core.status()["leveled"]),
            hash(tuple(texts)),
        )

    def _now(self) -> float:
        """Return the time of the engine that is farthest behind: it acts next."""
        return min(engine.now for engine in self._engines)

    def _counted(self) -> Iterator[tuple[int, int, float, FleetAnswer]]:
        return (each for each in self._answers if each[1])

    def _take(self, engine: FleetEngine) -> None:
        messages, answers = engine.heard()
        if self._plane is not None:
            for message in messages:
                self._plane.hear(message, engine.name)
        for answer in answers:
            row, step, sent_s = self._sent.pop(answer.number)
            self._answers.append((row, step, sent_s, answer))
            if self._plane is not None:
                next_step = float(self._workload.schedule.next_use(step)[row])
                self._plane.wake(self._workload.agents[row], next_step)

    def _obey(self, replica: str, directives: Directives) -> None:
        self._by_name[replica].obey(directives)

    def _script(self) -> Script:
        replicas = len(self._engines)
        yield from self._step(0, _WARMUP_CONCURRENCY * replicas)
        for step in range(1, self._workload.steps + 1):
            yield from self._until(self._now() + self._case.think_s)
            begun = self._now()
            yield from self._step(step, self._case.concurrency * replicas)
            self._step_s.append(self._now() - begun)

    def _until(self, when: float) -> Script:
        while self._now() < when:
            yield

    def _step(self, step: int, concurrency: int) -> Script:
        """Make all calls of a step, one for each of its agents."""
        schedule = self._workload.schedule
        rows = schedule.active(step).tolist()
        self._report(step)
        counts = dict.fromkeys(self._by_name, 0)
        next_use = schedule.next_use(step)
        for row in rows:
            while len(self._sent) >= concurrency:
                yield
            name = self._home(row)
            counts[name] += 1
            self._ask(step, row, name, float(next_use[row]) - step)
        while self._sent:
            yield
        if step and rows:
            self._shares.append(max(counts.values()) * len(self._engines) / len(rows))
        yield from self._until(self._now() + CALL_S)

    def _report(self, step: int) -> None:
        if self._plane is None:
            return
        schedule, names = self._workload.schedule, self._workload.agents
        ahead: dict[str, float] = {}
        for later in (2, 1, 0):
            if step + later < len(schedule):
                ahead |= {
                    names[row]: float(later) for row in schedule.active(step + later).tolist()
                }
        self._plane.step(step, ahead)

    def _home(self, row: int) -> str:
        if self._routing == "random":
            return self._engines[int(self._rng.integers(len(self._engines)))].name
        if self._routing == "least loaded":
            return min(self._engines, key=lambda engine: (engine.inside, engine.name)).name
        return self._view.home(int(self._keys[row]), tuple(self._by_name))

    def _ask(self, step: int, row: int, replica: str, ahead: float) -> None:
        size, seed = self._case.size, self._case.seed
        ids = [1, *words_of(size.private, seed, row), *words_of(size.observation, seed, row, step)]
        now, number = self._now(), len(self._answers) + len(self._sent)
        next_use = ahead if self._plane is not None and ahead < inf else None
        request = FleetRequest(number, ids, size.output, int(self._keys[row]), next_use)
        self._sent[number] = (row, step, now)
        self._by_name[replica].ask(now + CALL_S, request)


def row_of(replicas: int, routing: str, arm: str, found: FleetFigures) -> dict[str, Any]:
    """Return a run as JSON holds it."""
    ttft_s = np.array(found.ttft_s)
    return {
        "replicas": replicas,
        "routing": routing,
        "arm": arm,
        "busy_s": sum(found.step_s),
        "ttft_p50_s": float(np.percentile(ttft_s, 50)),
        "ttft_p95_s": float(np.percentile(ttft_s, 95)),
        **{name: value for name, value in found._asdict().items() if name != "ttft_s"},
    }

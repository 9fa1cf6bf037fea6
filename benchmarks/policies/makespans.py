"""Makespan of each step on eight replicas: who waits for the slowest?

Four ways to place agents: `random` (a draw a request), `least-loaded` (each request to the replica
with the least work), and the live controller with a router that follows it, without leveling
(`hashed`) and with it (`leveled`). The simulation reports who acts in this step and in the next
one. A request costs its own time, and rebuilding the agent's state where the replica does not have
it; the floor is perfect balance without any rebuilding.

    python -m benchmarks.policies.makespans [SEEDS]
"""

import sys
from statistics import mean
from typing import Protocol

import numpy as np

from benchmarks.results import write
from scalesim.controller.core import Controller
from scalesim.deployments.placement_view import PlacementView
from scalesim.policies.links import Links
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.policies.workloads import generate
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import PREFIX, Budgets, ReplicaInfo, Residency

AGENTS, STEPS, REPLICAS, WARM_UP = 400, 120, 8, 20
REQUEST_S, REBUILD_S, STEP_S = 0.1, 0.15, 1.0
STATE_BYTES = int(REBUILD_S * Links().rebuild_bytes_per_s)
NAMES = [f"replica-{number}" for number in range(REPLICAS)]


class Placer(Protocol):
    """Places the active agents of a step."""

    def place(self, now: np.ndarray, later: np.ndarray, state_at: np.ndarray) -> np.ndarray:
        """Return the replicas of those who act now, given who acts next and where state is."""


class Random:
    """A draw a request."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def place(self, now: np.ndarray, later: np.ndarray, state_at: np.ndarray) -> np.ndarray:
        """Draw."""
        return self._rng.integers(0, REPLICAS, len(now))


class LeastLoaded:
    """Each request to the replica with the least work."""

    def place(self, now: np.ndarray, later: np.ndarray, state_at: np.ndarray) -> np.ndarray:
        """Place one after the other, in order."""
        loads, places = np.zeros(REPLICAS), []
        for agent in now:
            place = int(loads.argmin())
            loads[place] += REQUEST_S + REBUILD_S * (state_at[agent] != place)
            places.append(place)
        return np.array(places, np.int64)


class LivePlacer:
    """The controller, replicas that report every request, and a router's view.

    Args:
        keys: int64[agents].
        settings: Of the controller.
    """

    def __init__(self, keys: np.ndarray, **settings: int) -> None:
        self.now_s = 0.0
        self.controller = Controller(
            ControllerSettings(**settings),
            CatalogSettings(),
            DistancePlanner(),
            rendezvous,
            clock=lambda: self.now_s,
        )
        room = Budgets(len(keys) * STATE_BYTES, 0, 0)
        for name in NAMES:
            self.controller.attach(ReplicaInfo(name, room, (PREFIX,)))
        self._keys = keys
        self._epoch = 0
        self._view = PlacementView()
        self._acked = dict.fromkeys(NAMES, 0)

    def place(self, now: np.ndarray, later: np.ndarray, state_at: np.ndarray) -> np.ndarray:
        """Tell the controller, route as a router would, run the requests."""
        self.now_s += STEP_S
        self._epoch += 1
        for distance, agents in ((1.0, later), (0.0, now)):
            distances = np.full(len(agents), distance, np.float32)
            self.controller.report("town", self._epoch, self._keys[agents], distances)
        self.controller.tick()
        self._view.apply(self.controller.placements(self._view.version))
        homes = [self._view.home(key, NAMES) for key in self._keys[now].tolist()]
        places = np.array([NAMES.index(home) for home in homes])
        for number, name in enumerate(NAMES):
            self._serve(name, self._keys[now[places == number]])
        return places

    def _serve(self, name: str, keys: np.ndarray) -> None:
        """Report requests of these agents as they begin and end; obey."""
        size = np.full(len(keys), STATE_BYTES)
        none = np.zeros(len(keys), np.int64)
        for running in (True, False):
            device = none if running else size
            in_use = np.full(len(keys), running)
            rows = Residency(PREFIX, keys, device, none, none, size, in_use)
            self.controller.residency(name, self.controller.incarnation, (rows,))
        self.controller.plan()
        directives = self.controller.poll(name, self.controller.incarnation, self._acked[name])
        if directives is not None:
            self._acked[name] = directives.sequence


def makespans(
    seed: int, workload: str = "event-queue", agents: int = AGENTS, steps: int = STEPS
) -> dict[str, dict[str, float]]:
    """Return mean makespan over the floor, and the share of requests that moved, by placer."""
    trace = generate(workload, agents, steps, seed).trace
    active = [trace.agent[trace.step == step] for step in range(steps)]
    keys = np.random.default_rng(seed).integers(0, 2**62, agents)
    placers: dict[str, Placer] = {
        "random": Random(seed),
        "least-loaded": LeastLoaded(),
        "hashed": LivePlacer(keys, leveling_moves=0),
        "leveled": LivePlacer(keys),
    }
    return {name: _play(active, placer, agents) for name, placer in placers.items()}


def _play(active: list[np.ndarray], placer: Placer, agents: int) -> dict[str, float]:
    state_at = np.full(agents, -1)
    over_floor, moved, count = [], 0, 0
    for now, later in zip(active, [*active[1:], active[0][:0]], strict=True):
        places = placer.place(now, later, state_at)
        lost = state_at[now] != places
        moved += int((lost & (state_at[now] >= 0)).sum())
        count += len(now)
        work_s = np.bincount(places, REQUEST_S + REBUILD_S * lost, REPLICAS)
        over_floor.append(float(work_s.max() / max(len(now) * REQUEST_S / REPLICAS, REQUEST_S)))
        state_at[now] = places
    return {"over_floor": mean(over_floor[WARM_UP:]), "moved": moved / count}


def main(seeds: int) -> None:
    """Print one line a placer."""
    runs = [makespans(seed) for seed in range(seeds)]
    rows = {
        name: {key: mean(run[name][key] for run in runs) for key in ("over_floor", "moved")}
        for name in runs[0]
    }
    for name, row in rows.items():
        print(f"{name:13} makespan {row['over_floor']:.2f} x the floor, {row['moved']:.1%} moved")
    write("policies/makespans", rows, seeds=seeds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

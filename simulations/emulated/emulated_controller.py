"""The controller on a virtual clock: reports in, directives out, each as late as in a stack."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from scalesim.controller.core import Controller
from scalesim.controller.service import SPACING_S
from scalesim.deployments.controller_link import GATHER_S, replica_info
from scalesim.deployments.engine.messages import Hello, Message
from scalesim.identity import agent_keys
from scalesim.policies.links import Links
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.policies.planning import Plan, Planner, View
from scalesim.settings import CatalogSettings, ClientSettings, ControllerSettings
from scalesim.simulations.emulated.emulated_case import ArmOptions
from scalesim.vocabulary import Budgets, Directives, Residency, TransferStats

CALL_S = 2e-3
"""Time between two processes of the stack, one way."""

REPLICA = "emulated"
"""Name of the only one, where there is one."""


class _Link:
    """What passes between the controller and one replica."""

    def __init__(self) -> None:
        self.incarnation = self.acked = 0
        self.gathered: list[Message] = []


class ControlPlane:
    """A controller and the links to it from one simulation and its replicas.

    Args:
        now: Returns the time.
        options: What of it is used.
        obey: Hands directives to the engine of a replica, which it names.
        simulation: Its name.
        settings: Settings of the controller.
    """

    def __init__(
        self,
        now: Callable[[], float],
        options: ArmOptions,
        obey: Callable[[str, Directives], None],
        simulation: str,
        settings: ControllerSettings | None = None,
    ) -> None:
        self._now = now
        self._options = options
        self._obey = obey
        self._simulation = simulation
        self._settings = settings or ControllerSettings()
        planner: Planner = DistancePlanner() if options.priced else _Unpriced()
        if options.fetch_steps < np.inf:
            planner = _FetchingNear(planner, options.fetch_steps)
        self.core = Controller(self._settings, CatalogSettings(), planner, rendezvous, clock=now)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._links: dict[str, _Link] = {}
        self._hints: dict[str, float] = {}
        self._predicting = False
        self._epoch = 0
        self._changed = False
        self._plan_at = self._tick_at = 0.0

    @property
    def epoch(self) -> int:
        """The step that began last."""
        return self._epoch

    def step(self, step: int, ahead: Mapping[str, float]) -> None:
        """Say that a step begins, and in how many steps agents call."""
        self._epoch = step
        self._later(CALL_S, lambda: self._report(step, dict(ahead)))

    def wake(self, agent: str, at: float) -> None:
        """Say in which step an agent calls next."""
        if not self._hints:
            self._later(ClientSettings().flush_interval_s, self._flush)
        self._hints[agent] = at

    def predict(self, ahead: Callable[[], Mapping[str, float]]) -> None:
        """Report a prediction, made as late as what `wake` says is sent."""
        if not self._predicting:
            self._predicting = True
            self._later(ClientSettings().flush_interval_s, lambda: self._predicted(ahead))

    def pin(self, agents: Sequence[str]) -> None:
        """Say whose state stays on the device."""
        keys = agent_keys(self._simulation, list(agents))
        self._later(CALL_S, lambda: self.core.lifecycle(self._simulation, pin=keys))

    def _flush(self) -> None:
        distances, self._hints = self._hints, {}
        epoch = self._epoch
        ahead = {agent: at - epoch for agent, at in distances.items()}
        self._later(CALL_S, lambda: self._report(epoch, ahead))

    def _predicted(self, ahead: Callable[[], Mapping[str, float]]) -> None:
        self._predicting = False
        epoch, predicted = self._epoch, ahead()
        self._later(CALL_S, lambda: self._report(epoch, predicted))

    def _report(self, step: int, ahead: Mapping[str, float]) -> None:
        distances = np.maximum(np.array(list(ahead.values())), 0.0)
        keys = agent_keys(self._simulation, list(ahead))
        reported = self._options.reported(distances).astype(np.float32)
        self.core.report(self._simulation, step, keys, reported)
        self._changed = True

    def hear(self, message: Message, replica: str = REPLICA) -> None:
        """Take what the engine of a replica says."""
        link = self._links.setdefault(replica, _Link())
        if isinstance(message, Hello):
            info = replica_info(replica, message, self._options.reserve_share)
            link.incarnation = self.core.attach(info)
            self._changed = True
            return
        if not link.gathered:
            self._later(GATHER_S + CALL_S, partial(self._update, replica))
        link.gathered.append(message)

    def _update(self, replica: str) -> None:
        link = self._links[replica]
        messages, link.gathered = link.gathered, []
        rows = tuple(message for message in messages if isinstance(message, Residency))
        self.core.residency(replica, link.incarnation, rows)
        for message in messages:
            if isinstance(message, TransferStats):
                self.core.transfer(replica, link.incarnation, message)
        self._changed = True

    def go_on(self) -> None:
        """Let happen what is due by now."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if now < self._plan_at or not (self._changed or now >= self._tick_at):
            return
        self._changed = False
        if now >= self._tick_at:
            self._tick_at = now + self._settings.tick_s
            self.core.tick()
            for replica in self._links:  # one that has nothing to hear polls too
                self._acknowledge(replica)
        self._plan_at = now + SPACING_S
        for name in self.core.needing_plans():
            if self.core.plan_one(name):
                self._later(CALL_S, partial(self._deliver, name))

    def _deliver(self, replica: str) -> None:
        link = self._links[replica]
        directives = self.core.poll(replica, link.incarnation, link.acked)
        if directives is None or directives.sequence <= link.acked:
            return
        link.acked = directives.sequence
        if not self._options.pushes:
            directives = directives._replace(distance_updates=())
        if not self._options.moves:
            directives = directives._replace(moves=())
        self._obey(replica, directives)
        self._later(CALL_S, partial(self._acknowledge, replica))

    def _acknowledge(self, replica: str) -> None:
        link = self._links[replica]
        self.core.poll(replica, link.incarnation, link.acked)
        self._changed = True

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        when = self._now() + seconds
        heapq.heappush(self._due, (when, next(self._numbers), call))


class _Unpriced:
    """The planner as if every link were endless."""

    def __init__(self) -> None:
        self._planner = DistancePlanner()

    def plan(self, view: View, budgets: Budgets, links: Links) -> Plan:
        """See `Planner`."""
        return self._planner.plan(view, budgets, Links(1e18, 1e18, 1e18, 1e18))


class _FetchingNear:
    """A planner that fetches nothing that is farther than so many steps."""

    def __init__(self, planner: Planner, steps: float) -> None:
        self._planner, self._steps = planner, steps

    def plan(self, view: View, budgets: Budgets, links: Links) -> Plan:
        """See `Planner`."""
        far = (view.device_bytes == 0) & (view.distance > self._steps)
        distance = np.where(far, np.float32(np.inf), view.distance)
        return self._planner.plan(view._replace(distance=distance), budgets, links)

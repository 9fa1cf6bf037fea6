"""What a simulation reports to the stack: which agent calls when."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence

from scalesim import headers
from scalesim.caller import adapters, identity_of
from scalesim.context import agent as agent_context
from scalesim.environment import client_from_env, simulation_from_env
from scalesim.errors import InvalidRequestError
from scalesim.identity import AgentId, agent_text, check_adapter, check_simulation
from scalesim.known_calls import KnownCalls
from scalesim.sender import Sender, Stats
from scalesim.settings import ClientSettings
from scalesim.transports import Transport, connect

# Not on the sending thread: the OpenAI SDK 3.x fails a call that finds httpx half imported.
from scalesim.transports import http as http


class Simulation:
    """A namespace of agents, and the hints about when they call.

    Hints are advice: they change latency, never answers. Every method that sends one returns at
    once, never raises for what the stack does or for an id that is not valid, and may be called
    from any thread; `stats` counts what was sent, dropped and failed.

    Agents are named by text, integers or UUIDs: 7 and "7" are one agent.

    Time is counted in steps. `step(t)` takes an int that never goes back within one simulation;
    use a new name, go on counting, or `end` the last run when one starts again on a living stack.

    Args:
        name: 1 to 63 letters, digits, `.`, `_` or `-`; by default that of `scalesim run`, else
            `default`.
        settings: Where the stack is; by default SCALESIM_BASE_URL and SCALESIM_API_KEY.
        transport: Way to the controller; by default the direct Ray path inside the stack's own
            cluster, HTTP elsewhere.
        step_hours: Simulated hours in a step, for `rate`.
        reach: Distance at which two agents meet, for `position`, in its unit.

    Raises:
        InvalidRequestError: `name` is not valid.
        ConfigurationError: The environment's settings are not valid.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        settings: ClientSettings | None = None,
        transport: Transport | None = None,
        step_hours: float = 1.0,
        reach: float = 1.0,
    ) -> None:
        settings = settings or client_from_env()
        self.name = check_simulation(simulation_from_env() if name is None else name)
        self._known = KnownCalls(step_hours, reach)
        self._sender = Sender(self.name, settings, lambda: transport or connect(settings))

    @property
    def epoch(self) -> int:
        """Newest step reported, by this client or another one of the simulation."""
        return self._sender.epoch

    @property
    def stats(self) -> Stats:
        """Counts of hints so far; see `Stats`."""
        return self._sender.stats

    def agent(self, id: AgentId) -> agent_context:
        """Return a context, sync or async: LLM calls made inside are this agent's.

        Raises:
            InvalidRequestError: The id is not valid.
        """
        return agent_context(id, self.name)

    def headers(
        self, agent: AgentId, next_use: float | None = None, step: int | None = None
    ) -> dict[str, str]:
        """Return the headers of one call, for clients without a hook.

        Args:
            agent: Agent id.
            next_use: Steps from now to the agent's call after this one, where known.
            step: Step that the call belongs to: of those that wait, the earliest go first.

        Raises:
            InvalidRequestError: The id is not valid.
        """
        who = identity_of(self.name, agent_text(agent))
        return headers.identity(*who[:2], next_use, who.adapter, step)

    def adapter(self, agent: AgentId, adapter: str) -> None:
        """Give an agent an adapter: it answers the calls of this process that name no other.

        It counts from the next context of that agent on. Agents of all processes get theirs with
        `scalesim adapter add --agent`.

        Args:
            agent: Agent id.
            adapter: Id of the adapter in the stack, as in `model:adapter`; empty takes it away.

        Raises:
            InvalidRequestError: One of the ids is not valid.
        """
        name = (self.name, agent_text(agent))
        adapters.pop(name, None)
        if adapter:
            adapters[name] = check_adapter(adapter)

    def step(
        self,
        t: int,
        active: Iterable[AgentId] = (),
        *,
        order: Sequence[AgentId] = (),
        upcoming: Sequence[Iterable[AgentId]] = (),
    ) -> None:
        """Say that step `t` begins; sent at once.

        Args:
            t: Step number, the epoch of all hints until the next call.
            active: Agents that call in this step, in no known order.
            order: The same in the order of their calls; used instead of `active` where given.
            upcoming: Who calls in steps t+1, t+2, ...; in their order where `order` is used.
        """
        t = int(t)  # one of numpy's would travel as text
        ordered = list(order)
        ahead = [self._ids(agents) for agents in (ordered or active, *upcoming)]
        distances = self._known.distances(t, ahead, in_order=bool(ordered))
        due = {id: t + distance for id, distance in distances.items()}
        self._sender.report(due, epoch=t, urgent=True)

    def position(
        self,
        agent: AgentId,
        xy: Sequence[float],
        velocity: Sequence[float] | None = None,
    ) -> None:
        """Say where an agent is: it calls when it comes within `reach` of another.

        Counts from the next step on, until another hint of that step knows better.

        Args:
            agent: Agent id.
            xy: Position in the step reported last.
            velocity: Its change in a step; where not given, what it was since the last position.
        """
        for id in self._ids([agent], sum(map(float, xy))):
            self._known.move(id, xy, velocity, self._sender.epoch)

    def edges(self, edges: Iterable[tuple[AgentId, AgentId]]) -> None:
        """Say how activity spreads: for each pair (a, b), a turn of a may lead to one of b.

        Counts from the next step on, from the agents that are active in it. Replaces what it was.
        """
        self._known.edges(self._pairs(edges))

    def workflow(self, edges: Iterable[tuple[AgentId, AgentId]]) -> None:
        """Say who waits for whom: agents have their turn when all before them had theirs.

        Counts from the next step on, from the agents that are active in it. Replaces what it was.

        Raises:
            InvalidRequestError: The edges go round in a circle.
        """
        self._known.workflow(self._pairs(edges))

    def wake(self, agent: AgentId, at: float) -> None:
        """Say that the agent's next call comes at step `at`; inf where none is foreseen."""
        epoch = self._sender.epoch
        self._sender.report(self._due(epoch, [(agent, at - epoch)]))

    def rate(self, agent: AgentId, per_hour: float) -> None:
        """Say how often the agent calls, in calls per simulated hour; 0 forgets it.

        Counts from the next step on, until another hint of that step knows better.
        """
        for id in self._ids([agent], per_hour):
            self._known.rate(id, per_hour)

    def distances(self, ids: Sequence[AgentId], values: Sequence[float]) -> None:
        """Report distances computed elsewhere, e.g. by one of `scalesim.distances`.

        Args:
            ids: Agents.
            values: Steps from now to each agent's next call; as many as `ids`.
        """
        if len(ids) != len(values):
            self._sender.drop(len(ids), f"{len(ids)} ids came with {len(values)} distances")
            return
        epoch = self._sender.epoch
        self._sender.report(self._due(epoch, zip(ids, map(float, values), strict=True)))

    def pin(self, *agents: AgentId) -> None:
        """Keep these agents on the device until unpinned, or until this simulation falls silent."""
        self._sender.change(self._ids(agents), "pin")

    def unpin(self, *agents: AgentId) -> None:
        """Let these agents be evicted again."""
        self._sender.change(self._ids(agents), "unpin")

    def done(self, *agents: AgentId) -> None:
        """Say that these agents will not call again: their state can go first."""
        ended = self._ids(agents)
        self._known.forget(ended)
        self._sender.change(ended, "done")

    def end(self, timeout_s: float = 5.0) -> bool:
        """End this simulation in the stack: its distances and pins go, its steps may start over.

        What waits to be sent is given up. Returns whether the stack did so within the timeout; it
        is asked again until it does, ahead of all later hints.
        """
        self._known.clear()
        return self._sender.end(timeout_s)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Send what waits now; returns whether all of it was sent within the timeout."""
        return self._sender.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits and stop the background thread; further hints are not sent."""
        self._sender.close(timeout_s)

    async def aend(self, timeout_s: float = 5.0) -> bool:
        """See `end`; other tasks go on meanwhile."""
        return await asyncio.to_thread(self.end, timeout_s)

    async def aflush(self, timeout_s: float = 5.0) -> bool:
        """See `flush`; other tasks go on meanwhile. All methods but these three return at once."""
        return await asyncio.to_thread(self.flush, timeout_s)

    async def aclose(self, timeout_s: float = 5.0) -> None:
        """See `close`; other tasks go on meanwhile."""
        await asyncio.to_thread(self.close, timeout_s)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Simulation:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _pairs(self, edges: Iterable[tuple[AgentId, AgentId]]) -> Iterator[tuple[str, str]]:
        for pair in edges:
            ids = self._ids(pair)
            if len(ids) == 2:
                yield ids[0], ids[1]

    def _due(self, epoch: int, distances: Iterable[tuple[AgentId, float]]) -> dict[str, float]:
        return {
            id: epoch + distance
            for agent, distance in distances
            for id in self._ids([agent], distance)
        }

    def _ids(self, agents: Iterable[AgentId], value: float = 0.0) -> list[str]:
        """Return agents' ids as text; those that are not valid, or whose hint is not, drop out."""
        ids = []
        for agent in agents:
            try:
                ids.append(agent_text(agent))
                if math.isnan(value):
                    raise InvalidRequestError(
                        f"the hint for {ids.pop()!r} is NaN: give steps, or inf"
                    )
            except InvalidRequestError as error:
                self._sender.drop(1, str(error))
        return ids

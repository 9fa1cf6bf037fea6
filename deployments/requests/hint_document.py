"""What a simulation knows at one of its steps, as one document: for those without our client."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from scalesim.deployments.requests.refusal import refusal
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.errors import InvalidRequestError
from scalesim.identity import agent_keys, agent_text
from scalesim.known_calls import KnownCalls
from scalesim.vocabulary import Distances, Keys, steps_until

MOST_ROWS = 5_000
"""Positions or edges of a document: a chain or a crowd of as many takes a thread half a second."""


def _text(value: Any) -> str:
    try:
        return agent_text(value)
    except InvalidRequestError as error:
        raise PydanticCustomError("agent", "{message}", {"message": str(error)}) from None


AgentName = Annotated[str, BeforeValidator(_text)]
Edge = Annotated[list[AgentName], Field(min_length=2, max_length=2)]
EdgeList = Annotated[list[Edge], Field(max_length=MOST_ROWS)]


class HintDocument(RequestModel):
    """What `scalesim.Simulation` reports, for one step; nothing is kept for the next step."""

    epoch: int = Field(ge=0, le=2**53)
    """The simulation's step, an integer that never goes back; required."""
    active: list[AgentName] = Field(default_factory=list)
    """Agents that call in this step."""
    order: list[AgentName] = Field(default_factory=list)
    """Agents that call in this step, in the order of their calls; believed before `active`."""
    upcoming: list[list[AgentName]] = Field(default_factory=list, max_length=64)
    """Who calls in the steps after it, a list for each."""
    wake: dict[AgentName, float | None] = Field(default_factory=dict)
    """Agents, and the step of each one's next call, `null` for none: believed before all else."""
    rate: dict[AgentName, float] = Field(default_factory=dict)
    """Agents, and their calls in a simulated hour."""
    step_hours: float = Field(1.0, gt=0)
    """Simulated hours in a step, for `rate`."""
    position: dict[AgentName, Annotated[list[float], Field(min_length=2, max_length=4)]] = Field(
        default_factory=dict, max_length=MOST_ROWS
    )
    """Agents, and where each is: x and y, then its change of both in a step where it moves."""
    reach: float = Field(1.0, gt=0)
    """Distance at which two agents meet, for `position`, in its unit."""
    edges: EdgeList = Field(default_factory=list)
    """Pairs of agents, a and b: a turn of a may lead to one of b in the next step."""
    workflow: EdgeList = Field(default_factory=list)
    """Pairs of agents: who waits for whom. Leave out what is done: nothing is kept."""
    pin: list[AgentName] = Field(default_factory=list)
    """Agents to keep on the device."""
    unpin: list[AgentName] = Field(default_factory=list)
    """Agents that may be evicted again."""
    done: list[AgentName] = Field(default_factory=list)
    """Agents that make no further call."""

    def distances(self) -> dict[str, float]:
        """Return steps to each agent's next call, of those that are foreseen.

        Raises:
            InvalidRequestError: The workflow goes round in a circle.
        """
        schedule = KnownCalls(self.step_hours, self.reach)
        for agent, per_hour in self.rate.items():
            schedule.rate(agent, per_hour)
        for agent, (x, y, *velocity) in self.position.items():
            schedule.move(agent, (x, y), (*velocity, 0.0, 0.0)[:2], self.epoch)
        if self.edges:
            schedule.edges((one, other) for one, other in self.edges)
        if self.workflow:
            schedule.workflow((one, other) for one, other in self.workflow)
        ahead = [self.order or self.active, *self.upcoming]
        found = schedule.distances(self.epoch, ahead, in_order=bool(self.order))
        due = [math.inf if at is None else at for at in self.wake.values()]
        ahead_of_wake = steps_until(np.array(due, np.float64), self.epoch)
        return found | dict(zip(self.wake, ahead_of_wake.tolist(), strict=True))


class HintEffects(NamedTuple):
    """What follows from hints, as the controller takes it.

    Attributes:
        report: Simulation, epoch, int64 keys, float32 distances in steps.
        changes: Simulation, keys to pin, to unpin, that are done.
    """

    report: tuple[str, int, Keys, Distances]
    changes: tuple[str, Keys, Keys, Keys]

    @property
    def changes_lives(self) -> bool:
        """Whether anybody is pinned, unpinned or done."""
        return any(keys.size for keys in self.changes[1:])


def known(simulation: str, body: dict[str, Any], under: str = "") -> HintEffects:
    """Return what follows from a document of hints.

    Args:
        simulation: Simulation of the agents.
        body: The document.
        under: Path of it in a request; empty where it is the whole body.

    Raises:
        InvalidRequestError: A field is unknown or out of bounds; names it.
    """
    try:
        hints = HintDocument.model_validate(body)
    except ValidationError as error:
        raise refusal(error, under) from None
    distances = hints.distances()
    with np.errstate(over="ignore"):
        values = np.fromiter(distances.values(), np.float64).astype(np.float32)
    pin, unpin, done = (
        agent_keys(simulation, agents) for agents in (hints.pin, hints.unpin, hints.done)
    )
    keys = agent_keys(simulation, distances)
    return HintEffects((simulation, hints.epoch, keys, values), (simulation, pin, unpin, done))

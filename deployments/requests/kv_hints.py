"""Hints inside a request: actions of ours in the `kv_hints` envelope (SGLang RFC #36224)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, Field, StringConstraints, Tag

from scalesim.deployments.requests.hint_document import AgentName
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.values import JsonObject, branch

AGENT_ACTION = "scalesim.agent"
"""Says whose request it is, where the headers do not."""
HINTS_ACTION = "scalesim.hints"
"""Says what the simulation knows: the document of `POST /v1/simulations/{simulation}/hints`."""

_Name = Annotated[str, StringConstraints(max_length=256)]


class AgentPayload(RequestModel):
    """Payload of `scalesim.agent`."""

    agent: AgentName = ""
    """Agent id."""
    simulation: str = ""
    """The agent's simulation."""
    next_use: float = Field(0.0, ge=0)
    """Steps from now to the agent's call after this one."""
    step: int = Field(0, ge=0, le=2**53)
    """Step that the call belongs to: of a simulation's calls that wait, the earliest go first."""
    adapter: str = Field("", max_length=256)
    """Adapter that answers, where the model's name has none."""


class AgentAction(RequestModel):
    """Names the agent that a request belongs to."""

    action_id: _Name
    action_type: Literal["scalesim.agent"]
    action_version: Literal["1"]
    payload: AgentPayload


class HintsAction(RequestModel):
    """Says what the simulation knows."""

    action_id: _Name
    action_type: Literal["scalesim.hints"]
    action_version: Literal["1"]
    payload: dict[str, Any]
    """A `HintDocument`, checked where it is read: off the event loop, as it may be long."""


class OtherAction(RequestModel):
    """An action that is not ours; ignored."""

    action_id: _Name
    action_type: _Name
    action_version: _Name
    payload: JsonObject = Field(default_factory=dict)


def _kind(value: Any) -> str:
    kind = value.get("action_type") if isinstance(value, dict) else None
    return branch(kind if kind in (AGENT_ACTION, HINTS_ACTION) else "other")


_Action = Annotated[
    Annotated[AgentAction, Tag(branch(AGENT_ACTION))]
    | Annotated[HintsAction, Tag(branch(HINTS_ACTION))]
    | Annotated[OtherAction, Tag(branch("other"))],
    Discriminator(_kind),
]


class KvHints(RequestModel):
    """The envelope, as SGLang and vLLM take it."""

    protocol_version: _Name
    message_id: _Name
    actions: list[_Action] = Field(default_factory=list, max_length=16)

    @classmethod
    def empty(cls) -> KvHints:
        """Return one without actions."""
        return cls(protocol_version="1", message_id="")


class ActionPayload(NamedTuple):
    """What a request's envelope says by one action.

    Attributes:
        fields: Empty where there is no such action.
        where: Path of it in the body, for errors.
    """

    fields: dict[str, Any]
    where: str = ""


def payload(body: Mapping[str, Any], action_type: str) -> ActionPayload:
    """Return what a request's envelope says by an action of ours.

    Args:
        body: As it was received, and accepted.
        action_type: `AGENT_ACTION` or `HINTS_ACTION`; the last such action counts.
    """
    actions = (body.get("kv_hints") or {}).get("actions") or []
    for number, action in reversed([*enumerate(actions)]):
        if action["action_type"] == action_type:
            return ActionPayload(action.get("payload") or {}, f"kv_hints.actions.{number}.payload")
    return ActionPayload({})

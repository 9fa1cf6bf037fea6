"""Who sends a request: headers first, then what OpenAI bodies carry, then the prompt itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from scalesim import headers
from scalesim.deployments.requests import kv_hints
from scalesim.errors import InvalidRequestError
from scalesim.identity import (
    DEFAULT_SIMULATION,
    agent_text,
    check_adapter,
    check_agent,
    check_simulation,
)

_BODY_FIELDS = ("session_id", "prompt_cache_key", "user")
"""Body fields that name a caller, in the order they are believed."""

_ANTHROPIC = "user_id"
"""Field of Anthropic's `metadata` that names the caller; believed last."""

_OPENING = 2
"""Messages hashed where nothing names the caller: the system prompt and the first turn."""


_STEP_DIGITS = 15
"""Digits of the largest step: fewer than those of 2**53, which a report's epoch ends with."""


class RequestIdentity(NamedTuple):
    """A request's agent, its next use and its step if stated, and its adapter if named."""

    simulation: str
    agent: str
    next_use: float | None
    adapter: str = ""
    step: int | None = None


def resolve(
    given: Mapping[str, str], body: Mapping[str, Any], default: str = DEFAULT_SIMULATION
) -> RequestIdentity:
    """Return the identity of a request.

    Headers are believed first, then the action `scalesim.agent` of `kv_hints`, then other fields.

    Args:
        given: HTTP headers, names in any case if the mapping ignores case.
        body: Decoded JSON body, accepted.
        default: Simulation where none is named.

    Raises:
        InvalidRequestError: A name is not valid; `field` says where it was.
    """
    action, where = kv_hints.payload(body, kv_hints.AGENT_ACTION)
    simulation, field = given.get(headers.SIMULATION), headers.SIMULATION
    if simulation is None:
        simulation, field = action.get("simulation"), f"{where}.simulation"
    if simulation is not None:
        check_simulation(simulation, field)
    adapter, field = given.get(headers.ADAPTER), headers.ADAPTER
    if adapter is None:
        adapter, field = action.get("adapter"), f"{where}.adapter"
    if adapter is not None:
        check_adapter(adapter, field)
    next_use, step = _next_use(given), _step(given)
    return RequestIdentity(
        simulation or default,
        _agent(given, action, body),
        action.get("next_use") if next_use is None else next_use,
        adapter or "",
        action.get("step") if step is None else step,
    )


def _agent(given: Mapping[str, str], action: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    named = given.get(headers.AGENT)
    if named is not None:
        return check_agent(decoded(named, headers.AGENT), headers.AGENT)
    if "agent" in action:
        return agent_text(action["agent"])
    for field in _BODY_FIELDS:
        # Written for others than us: what names no agent here is not the caller's fault.
        with suppress(InvalidRequestError):
            return check_agent(body.get(field, ""), field)
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        with suppress(InvalidRequestError):
            return check_agent(metadata.get(_ANTHROPIC, ""), _ANTHROPIC)
    opening = body.get("messages") or body.get("prompt") or body.get("input") or ""
    if isinstance(opening, list):
        opening = opening[:_OPENING]
    if persona := body.get("system") or body.get("instructions"):
        opening = [persona, opening]
    encoded = msgspec.json.encode(opening, enc_hook=str)  # what msgpack knows and JSON does not
    digest = blake2b(encoded, digest_size=12).hexdigest()
    return f"anonymous-{digest}"


def decoded(named: str, field: str) -> str:
    """Return percent-encoded UTF-8 as text.

    Raises:
        InvalidRequestError: It is not UTF-8, whose bytes would all become one character.
    """
    try:
        return unquote_to_bytes(named).decode()
    except UnicodeError:
        raise InvalidRequestError(
            f"{field} {named[:60]!r} is not percent-encoded UTF-8: encode the agent id, e.g. with "
            "urllib.parse.quote",
            field,
        ) from None


def _next_use(given: Mapping[str, str]) -> float | None:
    value = given.get(headers.NEXT_USE)
    if value is None:
        return None
    try:
        steps = float(value)
    except ValueError:
        steps = math.nan
    if math.isnan(steps) or steps < 0:
        raise InvalidRequestError(
            f"{headers.NEXT_USE} is {value[:40]!r}: use a number of steps, 0 or more",
            headers.NEXT_USE,
        )
    return steps


def _step(given: Mapping[str, str]) -> int | None:
    value = given.get(headers.STEP)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= _STEP_DIGITS):
        raise InvalidRequestError(
            f"{headers.STEP} is {value[:40]!r}: use a whole number of steps, 0 or more, of at most "
            f"{_STEP_DIGITS} digits",
            headers.STEP,
        )
    return int(value)

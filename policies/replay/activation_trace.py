"""Activation traces: which agent asked the model in which step, as arrays."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.formats import format_of_line

LARGEST = 2**44
"""Numbers in a trace are below this: 17 TB, or a prompt whose state still counts in 64 bits."""


class Trace(NamedTuple):
    """Requests in the order they were made; agents are dense numbers.

    Attributes:
        names: Agent ids; an agent's number is its index.
        step: int64[n], simulation step of each request, never falling.
        agent: int32[n], who asked.
        prompt_tokens: int64[n], 0 where unknown.
        output_tokens: int64[n], 0 where unknown.
        size_bytes: int64[agents], largest state seen of each agent, 0 where unknown.
    """

    names: tuple[str, ...]
    step: NDArray[np.int64]
    agent: NDArray[np.int32]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    size_bytes: NDArray[np.int64]


def make_trace(
    step: NDArray[np.integer[Any]], agent: NDArray[np.integer[Any]], agents: int
) -> Trace:
    """Return a trace of numbered agents from two arrays, without tokens or bytes."""
    nothing = np.zeros(len(agent), np.int64)
    return Trace(
        tuple(f"agent-{i}" for i in range(agents)),
        step.astype(np.int64),
        agent.astype(np.int32),
        nothing,
        nothing,
        np.zeros(agents, np.int64),
    )


def parse_trace(lines: Iterable[str]) -> Trace:
    """Read JSON lines `{"step": number, "agent": text or whole number, ...}`, one at a time.

    Lines may be in any order; those of one step stay in theirs. Of a step only the whole part
    counts. Other fields than ours are ignored.

    Raises:
        InvalidRequestError: A line is not such an object, or there is no line.
    """
    numbers: dict[str, int] = {}
    time, who, prompt, output = array("d"), array("i"), array("q"), array("q")
    sizes = array("q")
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = _event(line, place)
        agent = numbers.setdefault(event.agent, len(numbers))
        if agent == len(sizes):
            sizes.append(0)
        sizes[agent] = max(sizes[agent], event.bytes)
        time.append(event.step)
        who.append(agent)
        prompt.append(event.prompt_tokens)
        output.append(event.output_tokens)
    if not time:
        raise InvalidRequestError(
            'the trace is empty: give at least one line {"step": 0, "agent": "a"}', "trace"
        )
    order = np.argsort(np.frombuffer(time), kind="stable")
    return Trace(
        tuple(numbers),
        np.frombuffer(time)[order].astype(np.int64),
        np.frombuffer(who, np.int32)[order],
        np.frombuffer(prompt, np.int64)[order],
        np.frombuffer(output, np.int64)[order],
        np.frombuffer(sizes, np.int64),
    )


def format_trace(trace: Trace) -> Iterator[str]:
    """Yield a trace as JSON lines, without line ends; unknown values are left out."""
    columns = zip(
        trace.step.tolist(),
        trace.agent.tolist(),
        trace.prompt_tokens.tolist(),
        trace.output_tokens.tolist(),
        strict=True,
    )
    sizes = trace.size_bytes.tolist()
    for step, agent, prompt, output in columns:
        yield event_line(step, trace.names[agent], prompt, output, bytes=sizes[agent])


def event_line(
    step: int, agent: str, prompt_tokens: int = 0, output_tokens: int = 0, **more: float
) -> str:
    """Return one event of a trace as JSON, without a line end.

    Args:
        step: Step of the simulation.
        agent: Its id.
        prompt_tokens: 0 where they are not known, as for all that follow: left out then.
        output_tokens: Generated.
        more: `bytes` of the agent's state; `device`, `host` and `storage`, the prompt's tokens
            found there; `seconds` that the answer took; `t` in seconds since 1970.
    """
    counts = {"prompt_tokens": prompt_tokens, "output_tokens": output_tokens} | more
    known = {name: value for name, value in counts.items() if value}
    return json.dumps({"step": step, "agent": agent} | known)


class _Event(NamedTuple):
    step: float
    agent: str
    prompt_tokens: int
    output_tokens: int
    bytes: int


def _event(line: str, place: int) -> _Event:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    agent = event.get("agent") if isinstance(event, dict) else None
    if not isinstance(event, dict) or type(agent) not in (str, int):
        raise InvalidRequestError(
            f"line {place} of the trace is not an object with an `agent`, text or whole number: "
            f'expected {{"step": 0, "agent": "a"}}{_foreign(line)}',
            "agent",
        )
    step = event.get("step")
    if not _is_number(step) or not 0 <= step < LARGEST:
        raise _wrong(place, "step", step, "a number")
    counts = (_whole(event, name, place) for name in ("prompt_tokens", "output_tokens", "bytes"))
    return _Event(step, str(agent), *counts)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float)  # True is not a number here


def _whole(event: dict[str, Any], name: str, place: int) -> int:
    """Return a count; programs that know floats only write 12.0, and null for what is not known."""
    value = event.get(name)
    if value is None:
        return 0
    if not _is_number(value) or not 0 <= value < LARGEST or value != int(value):
        raise _wrong(place, name, value, "a whole number")
    return int(value)


def _wrong(place: int, name: str, value: Any, expected: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"line {place} of the trace has {name} {value!r}: expected {expected} from 0 and below "
        f"{LARGEST}",
        name,
    )


def _foreign(line: str) -> str:
    """Return what to do with a line of a format that can be converted, or nothing."""
    known = format_of_line(line)
    if known is None:
        return ""
    return f"; it is in the {known.name} format: use `scalesim trace convert` first"

"""Activation traces: which agent asked the model in which step, as arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.errors import InvalidRequestError

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
    """Read JSON lines `{"step": int, "agent": str, ...}`; other fields than ours are ignored.

    Raises:
        InvalidRequestError: A line is not such an object, steps go back, or there is no line.
    """
    numbers: dict[str, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    size_bytes: dict[int, int] = {}
    last_step = 0
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = _event(line, place)
        if event["step"] < last_step:
            raise InvalidRequestError(
                f"line {place} of the trace is of step {event['step']}, after one of step "
                f"{last_step}: sort the trace by step",
                "step",
            )
        last_step = event["step"]
        agent = numbers.setdefault(event["agent"], len(numbers))
        rows.append((last_step, agent, event["prompt_tokens"], event["output_tokens"]))
        size_bytes[agent] = max(size_bytes.get(agent, 0), event["bytes"])
    if not rows:
        raise InvalidRequestError(
            'the trace is empty: give at least one line {"step": 0, "agent": "a"}', "trace"
        )
    step, who, prompt, output = np.array(rows, dtype=np.int64).T.copy()
    return Trace(
        tuple(numbers),
        step,
        who.astype(np.int32),
        prompt,
        output,
        np.array([size_bytes[i] for i in range(len(numbers))], dtype=np.int64),
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
        optional = {"prompt_tokens": prompt, "output_tokens": output, "bytes": sizes[agent]}
        event = {"step": step, "agent": trace.names[agent]}
        yield json.dumps(event | {name: value for name, value in optional.items() if value})


def _event(line: str, place: int) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("agent"), str):
        raise InvalidRequestError(
            f"line {place} of the trace is not an object with a string `agent`: expected "
            '{"step": 0, "agent": "a"}',
            "agent",
        )
    numbers = {name: event.get(name, 0) for name in ("prompt_tokens", "output_tokens", "bytes")}
    for name, value in {"step": event.get("step"), **numbers}.items():
        if type(value) is not int or not 0 <= value < LARGEST:
            raise InvalidRequestError(
                f"line {place} of the trace has {name} {value!r}: expected a whole number from 0 "
                f"and below {LARGEST}",
                name,
            )
    return {"step": event["step"], "agent": event["agent"], **numbers}

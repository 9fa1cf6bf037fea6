"""Recorded activations: JSON lines with `step` and `agent`; other fields are ignored."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from scalesim.errors import ConfigurationError
from simulations.schedule import Rows


class _Event(msgspec.Struct):
    step: int
    agent: str


class Recording(NamedTuple):
    """Who acted in each recorded step.

    Attributes:
        agents: Names in the order of their first action.
        calls: One array a step that has events: rows of `agents` in recorded order.
    """

    agents: tuple[str, ...]
    calls: list[Rows]


def read_recording(path: Path) -> Recording:
    """Return the activations recorded in a file; steps without events are left out.

    Raises:
        ConfigurationError: The file cannot be read or is empty, a line is not an event, or steps
            go back; names the line.
    """
    events = _read_events(path)
    for number, (before, after) in enumerate(pairwise(events), start=2):
        if after.step < before.step:
            raise ConfigurationError(
                f"{path} line {number}: step {after.step} follows step {before.step}; sort the "
                "events by step"
            )
    rows = {name: row for row, name in enumerate(dict.fromkeys(e.agent for e in events))}
    steps = np.array([event.step for event in events])
    actors = np.array([rows[event.agent] for event in events], dtype=np.int32)
    return Recording(tuple(rows), np.split(actors, np.flatnonzero(np.diff(steps)) + 1))


def _read_events(path: Path) -> list[_Event]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"the trace cannot be read ({error}); give --trace a file of JSON lines with "
            "`step` and `agent`"
        ) from error
    decoder = msgspec.json.Decoder(_Event)
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f'{path} line {number} is not an event ({error}); write {{"step": 3, '
                '"agent": "Maria"}'
            ) from error
    if not events:
        raise ConfigurationError(f"{path} holds no events; record at least one")
    return events

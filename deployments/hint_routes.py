"""Bodies of reports over HTTP, decoded into the controller's arrays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.identity import agent_keys
from scalesim.vocabulary import Distances, Keys

_LARGEST = int(np.finfo(np.float64).max)


DISTANCES_FIELDS = {
    "epoch": "the simulation's step, an integer that never goes back; required",
    "ids": "list of agent ids, text or integers; required",
    "distances": "list of as many numbers: steps to each agent's next request, `null` for none "
    "foreseen; required",
    "expires_in": "steps after which the distances are forgotten [`controller.distance_ttl_steps`]",
}
"""Body of a report, by field."""

LIFECYCLE_FIELDS = {
    "pin": "list of agent ids to keep on the device",
    "unpin": "list of agent ids that may be evicted again",
    "done": "list of agent ids that make no further request",
}
"""Body of a change to agents, by field."""

_FEW_IDS = 2_000
"""Read at once, in some milliseconds: passing them to a thread would take longer on average."""

Document = TypeVar("Document")


class Reader:
    """Decodes bodies; many ids on a thread of its own, one report after another.

    However many reports of a million ids come at once, other requests share the interpreter with
    one thread only.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hints")

    async def read(
        self, into: Callable[[str, dict[str, Any]], Document], simulation: str, body: dict[str, Any]
    ) -> Document:
        """Return `into(simulation, body)`, and raise what it raises."""
        if sum(len(value) for value in body.values() if isinstance(value, list)) <= _FEW_IDS:
            return into(simulation, body)
        return await self.read_apart(into, simulation, body)

    async def read_apart(
        self, into: Callable[[str, dict[str, Any]], Document], simulation: str, body: dict[str, Any]
    ) -> Document:
        """Do as `read` does, always on the thread: for bodies that take more than reading."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, into, simulation, body)

    def close(self) -> None:
        """Take no more; what is being read is given up."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def distances(
    simulation: str, body: dict[str, Any]
) -> tuple[str, int, Keys, Distances, float | None]:
    """Return (simulation, epoch, int64 keys, float32 distances, expiry in steps) of a report.

    Raises:
        InvalidRequestError: A field is missing or of the wrong type; names it.
    """
    _only(body, DISTANCES_FIELDS)
    epoch = body.get("epoch")
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        raise InvalidRequestError(f"epoch is {epoch!r}: send the step as an integer", "epoch")
    ids, values = body.get("ids"), body.get("distances")
    if not isinstance(ids, list):
        raise InvalidRequestError("ids is not a list: send a list of agent ids", "ids")
    if not isinstance(values, list) or len(values) != len(ids):
        raise InvalidRequestError(
            f"distances must be a list of {len(ids)} numbers, one for each of ids", "distances"
        )
    expires_in = body.get("expires_in")
    if expires_in is not None and not _is_number(expires_in):
        raise InvalidRequestError("expires_in is not a number of steps", "expires_in")
    return simulation, epoch, agent_keys(simulation, ids, "ids"), _floats(values), expires_in


def lifecycle(simulation: str, body: dict[str, Any]) -> tuple[str, Keys, Keys, Keys]:
    """Return (simulation, keys to pin, to unpin, that are done).

    Raises:
        InvalidRequestError: A field is not a list of agent ids; names it.
    """
    _only(body, LIFECYCLE_FIELDS)
    for field in body:
        if not isinstance(body[field], list):
            raise InvalidRequestError(f"{field} is not a list: send a list of agent ids", field)
    pin, unpin, done = (
        agent_keys(simulation, body.get(field, []), field) for field in LIFECYCLE_FIELDS
    )
    return simulation, pin, unpin, done


def _floats(values: list[Any]) -> Distances:
    """Return float32[n]; None, as JSON writes infinity and NaN, forgets the agent."""
    if not all(value is None or _is_number(value) for value in values):
        raise InvalidRequestError("distances holds something that is not a number", "distances")
    with np.errstate(over="ignore"):
        distances = np.array([np.inf if v is None else v for v in values], np.float64)
        return distances.astype(np.float32)


def _is_number(value: object) -> bool:
    """Return whether a value is a number that a float can hold."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= _LARGEST
    return isinstance(value, float)


def _only(body: dict[str, Any], known: dict[str, str]) -> None:
    for field in body.keys() - known.keys():
        raise InvalidRequestError(
            f"{field[:60]!r} is not a field here: use {', '.join(sorted(known))}", field[:60]
        )

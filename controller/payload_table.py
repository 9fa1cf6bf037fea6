"""The payload table: everything the controller knows of each payload, one row each, as arrays."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.interner import Interner
from scalesim.controller.key_index import MISSING, KeyIndex, Rows
from scalesim.vocabulary import PREFIX, Distances, Keys, steps_until

AGENTS = 0
"""Number of the prefix kind, whose keys are the agents' own."""

NOWHERE = -1
"""Replica number of a payload that has no replica."""

SENT = ("sent_distance", "sent_pin", "pending_action")
STATE = ("device_bytes", "host_bytes", "storage_bytes", "in_use")


class _Column(NamedTuple):
    """Type and empty value of a column."""

    dtype: type[np.generic]
    empty: float


def _column(dtype: type[np.generic], empty: float = 0) -> Any:
    """Declare a column; every table has an array of its own under that name."""
    return _Column(dtype, empty)


class TurnsBegun(NamedTuple):
    """How far simulations are, by their numbers.

    Attributes:
        epochs: float64, newest epoch.
        places: float64, when the turn that was begun last was due: the epoch and its part.
        since: float64, seconds at which that turn began.
    """

    epochs: NDArray[np.float64]
    places: NDArray[np.float64]
    since: NDArray[np.float64]


class PayloadTable:
    """Columns over the rows of a `KeyIndex`; a free row holds every column's empty value.

    A distance is kept as the step it falls due, so that distances age by themselves as their
    simulation's epoch moves. Columns are attributes, arrays of `capacity` rows; about 100 bytes a
    payload in all.

    Args:
        kinds: Payload kinds already numbered; `"prefix"` must be the first.
    """

    # Whose payload it is. All payloads of an agent have its key; what its simulation says
    # (distance, pin, finished) is kept in the row of its prefix.
    key: Keys = _column(np.int64)
    kind: NDArray[np.int8] = _column(np.int8)
    simulation: NDArray[np.int32] = _column(np.int32)

    # Where it lives: `exceptional` where that is not its hashed replica, `assigned` for agents that
    # belong there all the same.
    replica: NDArray[np.int16] = _column(np.int16, NOWHERE)
    assigned: NDArray[np.bool_] = _column(np.bool_)
    exceptional: NDArray[np.bool_] = _column(np.bool_)

    # What its simulation said: steps, inf where no use is foreseen; `reported` is the step in which
    # it said so, -inf where that is not known. `came` is the step in which it asked last, -inf
    # while that is before the one foreseen; `unannounced`: nothing was known of a use before the
    # step in which it is due.
    due: NDArray[np.float64] = _column(np.float64, np.inf)
    expires: NDArray[np.float64] = _column(np.float64, np.inf)
    reported: NDArray[np.float32] = _column(np.float32, -np.inf)
    came: NDArray[np.float32] = _column(np.float32, -np.inf)
    unannounced: NDArray[np.bool_] = _column(np.bool_)
    pinned: NDArray[np.bool_] = _column(np.bool_)
    finished: NDArray[np.bool_] = _column(np.bool_)

    # What its replica last reported; `last_used` in seconds.
    total_bytes: NDArray[np.int64] = _column(np.int64)
    device_bytes: NDArray[np.int64] = _column(np.int64)
    host_bytes: NDArray[np.int64] = _column(np.int64)
    storage_bytes: NDArray[np.int64] = _column(np.int64)
    in_use: NDArray[np.bool_] = _column(np.bool_)
    last_used: NDArray[np.float64] = _column(np.float64)

    # What its replica was sent: distance and pin, and the move that it has not answered yet (a
    # verb, 0 where none is; the target tier; since when, in seconds).
    sent_distance: NDArray[np.float32] = _column(np.float32, np.inf)
    sent_pin: NDArray[np.bool_] = _column(np.bool_)
    pending_action: NDArray[np.uint8] = _column(np.uint8)
    pending_tier: NDArray[np.uint8] = _column(np.uint8)
    pending_since: NDArray[np.float64] = _column(np.float64)

    # Changed since it was last written to the catalog; the row is taken.
    dirty: NDArray[np.bool_] = _column(np.bool_)
    live: NDArray[np.bool_] = _column(np.bool_)

    def __init__(self, kinds: Interner | None = None) -> None:
        self.kinds = kinds or Interner([PREFIX])
        self._index = KeyIndex()
        self._order: Rows | None = None
        for name, (dtype, empty) in COLUMNS.items():
            setattr(self, name, np.full(1024, empty, dtype))

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes held by the columns and their index."""
        columns: int = sum(getattr(self, name).nbytes for name in COLUMNS)
        return self._index.nbytes + columns

    def find(self, kind: int, keys: Keys) -> Rows:
        """Return int64[n] rows, -1 where there is none."""
        return self._index.find(keys ^ self._salt(kind))

    def add(self, kind: int, keys: Keys) -> Rows:
        """Return int64[n] rows given, in this order, to distinct keys that are missing."""
        rows = self._index.add(keys ^ self._salt(kind))
        self._grow(self._index.capacity)
        self.key[rows] = keys
        self.kind[rows] = kind
        self.live[rows] = True
        return rows

    def remove(self, rows: Rows) -> None:
        """Set rows free and empty them."""
        for kind in np.unique(self.kind[rows]):
            of_kind = rows[self.kind[rows] == kind]
            self._index.remove(self.key[of_kind] ^ self._salt(int(kind)))
        self.reset(rows, *COLUMNS)
        self._order = None

    def reset(self, rows: Rows, *columns: str) -> None:
        """Write each column's empty value."""
        for name in columns:
            getattr(self, name)[rows] = COLUMNS[name].empty

    def answered(self, rows: Rows) -> None:
        """Note that replicas reported the payloads: no move is outstanding."""
        self.reset(rows, "pending_action")

    def settle(self, rows: Rows, replicas: NDArray[np.int16]) -> None:
        """Assign payloads to replicas; their residency there is not known yet."""
        self.replica[rows] = replicas
        self.reset(rows, *STATE, *SENT)
        self.dirty[rows] = True
        self._order = None

    def regroup(self) -> None:
        """Take notice that `replica` was written to from outside."""
        self._order = None

    def rows_on(self, replica: int) -> Rows:
        """Return the int64 rows of all payloads placed on a replica, ascending."""
        if self._order is None:
            self._order = np.argsort(self.replica, kind="stable")
            self._sorted = self.replica[self._order]
        wanted = np.int16(replica)  # of the column's type, or the whole column is converted
        first = np.searchsorted(self._sorted, wanted, side="left")
        end = np.searchsorted(self._sorted, wanted, side="right")
        return self._order[first:end]

    def resident(self, rows: Rows) -> NDArray[np.bool_]:
        """Return bool[n], whether any tier holds something of the payload."""
        held: NDArray[np.bool_] = (
            self.device_bytes[rows] | self.host_bytes[rows] | self.storage_bytes[rows]
        ) > 0
        return held

    def anchored(self, rows: Rows) -> NDArray[np.bool_]:
        """Return bool[n], whether a move would lose device state, break a use or leave a pin."""
        held: NDArray[np.bool_] = (self.device_bytes[rows] > 0) | self.in_use[rows]
        return held | self.pinned[rows] | self.sent_pin[rows]

    def agents(self, rows: Rows) -> Rows:
        """Return int64[n], the agent row that owns each payload.

        All payloads of an agent have its key. One whose key belongs to no agent stands for itself.
        """
        others = np.flatnonzero(self.kind[rows] != AGENTS)
        if not others.size:
            return rows
        agents = rows.copy()
        found = self.find(AGENTS, self.key[rows[others]])
        agents[others] = np.where(found == MISSING, rows[others], found)
        return agents

    def distances(self, rows: Rows, turns: TurnsBegun) -> Distances:
        """Return float32[n] distances now, inf where none is foreseen, it expired or it has passed.

        See `scalesim.vocabulary.steps_until` for uses that did not come in their step. One that
        came holds for further calls of the same turn, until a turn that is due later has begun or
        the step has ended. What replicas say of its end may come after the next step's report.

        Args:
            rows: int64[n].
            turns: How far the simulations are.
        """
        rows = self.agents(rows)
        simulation, due = self.simulation[rows], self.due[rows]
        epoch = turns.epochs[simulation]
        distance = steps_until(due, epoch)
        distance[self.expires[rows] < epoch] = np.inf
        came = self.came[rows]
        passed = np.flatnonzero(np.isfinite(came) & (due < turns.places[simulation]))
        if passed.size:
            asked = rows[passed]
            is_over = self.last_used[asked] <= turns.since[simulation[passed]]
            earlier = came[passed] < epoch[passed].astype(np.float32)
            is_over = np.where(due[passed] < epoch[passed], earlier, is_over)
            distance[passed[is_over & ~self.in_use[asked]]] = np.inf
        return distance

    def _grow(self, capacity: int) -> None:
        old = self.key.size
        if capacity <= old:
            return
        for name, (dtype, empty) in COLUMNS.items():
            column = np.full(max(capacity, old * 2), empty, dtype)
            column[:old] = getattr(self, name)
            setattr(self, name, column)
        self._order = None

    def _salt(self, kind: int) -> np.int64:
        return _salt(self.kinds[kind])


@cache
def _salt(kind: str) -> np.int64:
    """Keeps equal keys of different kinds apart in one index; a prefix keeps its key."""
    if kind == PREFIX:
        return np.int64(0)
    return np.int64(
        int.from_bytes(blake2b(kind.encode(), digest_size=8).digest(), "little", signed=True)
    )


COLUMNS: dict[str, _Column] = {
    name: value for name, value in vars(PayloadTable).items() if isinstance(value, _Column)
}
"""Every column by name."""

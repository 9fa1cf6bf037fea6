"""Where payloads live: hashed over the replicas, but for those assigned or held elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.key_index import MISSING, Rows
from scalesim.controller.payload_table import AGENTS, NOWHERE, PayloadTable
from scalesim.controller.replicas import Replicas
from scalesim.vocabulary import Keys, PlacementDelta

PlacementRule = Callable[[Keys, Sequence[str]], NDArray[np.int32]]
"""Gives each key the index of its replica; every process must compute the same."""

_JOURNAL_KEYS = 100_000  # past it a reader that fell behind gets everything


class Placements:
    """Places payloads and sends routers what differs from hashing.

    The home of an agent, and of all its payloads, is its hashed replica, or the one it was assigned
    to, for as long as that lives. A payload stays where its state is while that is on the device,
    in use or pinned, even when its home is another replica; it goes home afterwards.

    Args:
        table: Payload table; `replica`, `assigned` and `exceptional` are written here only.
        replicas: The living.
        place: How keys are hashed.
        version: First version; must exceed those of controllers before.
    """

    def __init__(
        self, table: PayloadTable, replicas: Replicas, place: PlacementRule, version: int
    ) -> None:
        self.version = version
        self._table = table
        self._replicas = replicas
        self._place = place
        self._journal: deque[tuple[int, Keys]] = deque()
        self._journal_keys = 0
        self._since = version

    def admit(self, kind: int, keys: Keys) -> Rows:
        """Return int64[n] rows of `keys`, adding those that are missing at home.

        What is added together lies together by replica, where plans read it.
        """
        rows = self._table.find(kind, keys)
        missing = np.flatnonzero(rows == MISSING)
        if missing.size:
            new = np.unique(keys[missing])
            hashed = self._hashed(new)
            homes = self._homes(new, hashed)
            order = np.argsort(homes, kind="stable")
            added = self._table.add(kind, new[order])
            self._move(added, homes[order])
            self._except(added, (homes != hashed)[order])
            rows[missing] = self._table.find(kind, keys[missing])
        return rows

    def assign(self, agents: Rows, replicas: NDArray[np.int16]) -> None:
        """Make replicas the homes of agents and put all their payloads there.

        Their state elsewhere is forgotten.
        """
        keys = self._table.key[agents]
        self._table.assigned[agents] = True
        for kind in range(len(self._table.kinds)):
            rows = self._table.find(kind, keys)
            mine = rows != MISSING
            self._put(rows[mine], replicas[mine])

    def send_home(self, rows: Rows) -> None:
        """Put payloads where they belong; the state elsewhere of those that move is forgotten."""
        if not rows.size:
            return
        keys = self._table.key[rows]
        homes = self._homes(keys, self._hashed(keys))
        away = self._table.replica[rows] != homes
        self._put(rows[away], homes[away])

    def adopt(self, rows: Rows, replica: int) -> None:
        """Put payloads on the replica that turned out to hold their only state.

        Agents among them are not assigned any more.
        """
        self._table.assigned[rows] = False
        self._put(rows, np.full(rows.size, replica, np.int16))

    def rehouse(self) -> None:
        """Place every payload again after replicas came or went."""
        table = self._table
        rows = np.flatnonzero(table.live)
        keys, current = table.key[rows], table.replica[rows]
        living = np.isin(current, [replica.number for replica in self._replicas])
        table.assigned[rows] &= living
        hashed = self._hashed(keys)
        place = np.where(living & table.anchored(rows), current, self._homes(keys, hashed))
        moves = place != current
        self._move(rows[moves], place[moves])
        table.exceptional[rows] = place != hashed
        self._journal.clear()
        self._journal_keys = 0
        self.version += 1
        self._since = self.version

    def forget(self, rows: Rows) -> None:
        """Tell routers that payloads about to be removed are not exceptions any more."""
        self._except(rows, np.zeros(rows.size, np.bool_))

    def delta(self, version: int) -> PlacementDelta:
        """Return what changed since `version`; everything where that is not known."""
        full = not self._since <= version <= self.version
        table = self._table
        if full:
            rows = np.flatnonzero(table.exceptional & (table.kind == AGENTS))
            keys = table.key[rows]
        else:
            changed = [keys for at, keys in self._journal if at > version]
            keys = np.unique(np.concatenate(changed)) if changed else np.empty(0, np.int64)
            rows = table.find(AGENTS, keys)
        names = self._replicas.names
        excepted = (rows != MISSING) & table.exceptional[rows]
        places = np.where(excepted, self._indices(names)[table.replica[rows]], -1)
        return PlacementDelta(self.version, names, keys, places.astype(np.int32), full)

    def _put(self, rows: Rows, replicas: NDArray[np.int16]) -> None:
        self._move(rows, replicas)
        self._except(rows, self._hashed(self._table.key[rows]) != replicas)

    def _move(self, rows: Rows, replicas: NDArray[np.int16]) -> None:
        table = self._table
        known = rows[np.isfinite(table.sent_distance[rows])]
        for replica in self._replicas if known.size else ():
            left = known[table.replica[known] == replica.number]
            for kind in np.unique(table.kind[left]):
                keys = table.key[left[table.kind[left] == kind]]
                replica.left.setdefault(int(kind), []).append(keys)
        self._replicas.changed[table.replica[rows]] = True
        self._replicas.changed[replicas] = True
        table.settle(rows, replicas)

    def _except(self, rows: Rows, exceptional: NDArray[np.bool_]) -> None:
        changed = rows[(self._table.exceptional[rows] | exceptional)]
        self._table.exceptional[rows] = exceptional
        agents = changed[self._table.kind[changed] == AGENTS]
        if agents.size:
            self.version += 1
            self._journal.append((self.version, self._table.key[agents]))
            self._journal_keys += agents.size
            while self._journal_keys > _JOURNAL_KEYS:
                self._since, oldest = self._journal.popleft()
                self._journal_keys -= oldest.size

    def _homes(self, keys: Keys, hashed: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return int16[n], where payloads belong, given where they are hashed to."""
        table = self._table
        agents = table.find(AGENTS, keys)
        assigned = table.assigned[agents] & (agents != MISSING)
        return np.where(assigned, table.replica[agents], hashed)

    def _hashed(self, keys: Keys) -> NDArray[np.int16]:
        names = self._replicas.names
        numbers = [self._replicas.numbers.number(name) for name in names]
        places = self._place(keys, names)
        return np.array([*numbers, NOWHERE], np.int16)[places]

    def _indices(self, names: tuple[str, ...]) -> NDArray[np.int32]:
        """Return int32 index into `names` by replica number."""
        indices = np.full(len(self._replicas.numbers) + 1, -1, np.int32)
        indices[[self._replicas.numbers.number(name) for name in names]] = range(len(names))
        return indices

"""Replicas as the controller knows them, and the conversation with each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.interner import Interner
from scalesim.policies.links import LinkMeter
from scalesim.vocabulary import (
    PREFIX,
    Budgets,
    Directives,
    Keys,
    ReplicaInfo,
    TransferStats,
)

_NEWEST = 0.1  # share of the newest request in what requests take
MAX_REPLICAS = int(np.iinfo(np.int16).max)


@dataclass(slots=True)
class ReplicaRecord:
    """One replica; only remembered from the catalog, unless it is an `AttachedReplica`.

    Attributes:
        number: Its dense number, used in the payload table.
        name: The replica's name.
        seen_at: Seconds; when it last attached or polled.
        transfers: What became of its moves, by kind.
        meters: What moving and rebuilding state costs there by those transfers, by kind.
        left: Payloads placed elsewhere since the last directives, by kind number: it must forget
            their distances.
        sequence: Number of the last directives made for it.
        request_s: Seconds that a request is in its engine, of late; 0 before the first has ended.
    """

    number: int
    name: str
    seen_at: float
    transfers: dict[str, TransferStats] = field(default_factory=dict)
    meters: dict[str, LinkMeter] = field(default_factory=lambda: defaultdict(LinkMeter))
    left: dict[int, list[Keys]] = field(default_factory=dict)
    sequence: int = 0
    request_s: float = 0.0

    def ended(self, seconds: NDArray[np.float64]) -> None:
        """Take over how long requests that ended were in its engine."""
        if seconds.size:
            share = 1.0 - (1.0 - _NEWEST) ** seconds.size if self.request_s else 1.0
            self.request_s += share * (float(seconds.mean()) - self.request_s)

    def note(self, transfer: TransferStats) -> None:
        """Take over its transfer stats."""
        self.meters[transfer.kind].observe(self.transfers.get(transfer.kind, transfer), transfer)
        self.transfers[transfer.kind] = transfer


@dataclass(slots=True, kw_only=True)
class AttachedReplica(ReplicaRecord):
    """A replica that attached to this controller: it can be sent directives.

    Attributes:
        budgets: Its tiers.
        kinds: Payload kinds it can move.
        kind_budgets: What of its tiers is for each of them; empty where they share all of it.
        metrics: HOST:PORT of its own metrics; empty where it has none.
        outbox: Directives it has not acknowledged; nothing more is planned for it until it has.
        made_at: Seconds; when its outbox was filled.
        replan_at: Seconds; when a move it has not answered is to be asked for again.
    """

    budgets: Budgets
    kinds: tuple[str, ...]
    kind_budgets: tuple[Budgets, ...]
    metrics: str
    outbox: Directives | None = None
    made_at: float = 0.0
    replan_at: float = math.inf

    @property
    def prefix_device_bytes(self) -> int:
        """Bytes of its device that prefixes may fill."""
        own = dict(zip(self.kinds, self.kind_budgets, strict=False)).get(PREFIX, self.budgets)
        return own.device_bytes


class Replicas:
    """Living replicas by name, and which of them need a new plan.

    Args:
        names: Names by number, as remembered from the catalog.
        now: Seconds; remembered replicas have a lease from now to attach again.
    """

    def __init__(self, names: Sequence[str] = (), now: float = 0) -> None:
        self.numbers = Interner(names)
        self.changed = np.zeros(MAX_REPLICAS + 1, np.bool_)
        """bool by replica number: its plan is out of date. The last entry stands for none."""
        self._living = {name: ReplicaRecord(at, name, now) for at, name in enumerate(names) if name}

    def __len__(self) -> int:
        return len(self._living)

    def __iter__(self) -> Iterator[ReplicaRecord]:
        return iter(self._living.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the living, sorted: the order every process hashes over."""
        return tuple(sorted(self._living))

    def get(self, name: str) -> ReplicaRecord | None:
        """Return a living replica."""
        return self._living.get(name)

    def attached(self) -> list[AttachedReplica]:
        """Return the living replicas that attached."""
        return [replica for replica in self if isinstance(replica, AttachedReplica)]

    @property
    def prefix_device_bytes(self) -> int:
        """Bytes that prefixes may fill on the devices of all attached replicas together."""
        return sum(replica.prefix_device_bytes for replica in self.attached())

    def get_attached(self, name: str) -> AttachedReplica | None:
        """Return a living replica if it attached."""
        replica = self._living.get(name)
        return replica if isinstance(replica, AttachedReplica) else None

    def attach(self, info: ReplicaInfo, now: float) -> AttachedReplica:
        """Attach a replica, known before or not; what it was sent before no longer counts.

        Its directives are numbered from the milliseconds of its attachment: no acknowledgement of
        older ones, of any controller, can match.
        """
        known = self._living.get(info.name) or ReplicaRecord(
            self.numbers.number(info.name), info.name, now
        )
        replica = AttachedReplica(
            number=known.number,
            name=known.name,
            seen_at=now,
            transfers=known.transfers,
            meters=known.meters,
            sequence=max(known.sequence, int(now * 1000)),
            request_s=known.request_s,
            budgets=info.budgets,
            kinds=info.kinds,
            kind_budgets=info.kind_budgets,
            metrics=info.metrics,
        )
        self._living[info.name] = replica
        return replica

    def remove(self, replica: ReplicaRecord) -> None:
        """Remove a replica; the caller must place its payloads again immediately."""
        del self._living[replica.name]
        self.numbers.free(replica.number)

    def silent(self, now: float, lease_s: float) -> list[ReplicaRecord]:
        """Return replicas that have not polled for a lease."""
        return [replica for replica in self if replica.seen_at < now - lease_s]

    def due(self, now: float) -> list[AttachedReplica]:
        """Return replicas whose plan is out of date and that can take a new one."""
        return [
            replica
            for replica in self.attached()
            if replica.outbox is None and (self.changed[replica.number] or replica.replan_at <= now)
        ]

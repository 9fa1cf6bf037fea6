"""The words everything else is written in: tiers, verbs, and the arrays that travel.

Messages are named tuples of numpy arrays, one row per payload, so that a batch of ten thousand
agents is a handful of buffers. Arrays inside a message are never mutated after it was sent.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Distances = NDArray[np.float32]
Bytes = NDArray[np.int64]

PREFIX = "prefix"
"""Kind name of KV prefix caches; kinds are open."""

ADAPTER = "adapter"
"""Kind name of LoRA adapters."""

MODEL = "model"
"""Kind name of whole models' weights."""


GUESSED = 2.0**18
"""Distances from here on were learned from requests: behind all that are reported, which are below
a quarter million steps."""


def steps_until(due: NDArray[np.float64], epoch: NDArray[np.float64] | float) -> Distances:
    """Return float32[n], steps from now to uses foreseen for the steps `due`.

    A use that is overdue by k steps counts as k steps away: the longer it does not come, the less
    it is expected. This is the one rule for overdue uses, in the client, in documents of hints and
    in the controller. A step too far for float32 is as good as none: inf.
    """
    with np.errstate(over="ignore"):
        return np.abs(due - epoch).astype(np.float32)


class Tier(IntEnum):
    """Where a payload lives; hotter compares greater."""

    ABSENT = 0
    STORAGE = 1
    HOST = 2
    DEVICE = 3


TIERS = tuple(tier.name.lower() for tier in reversed(Tier) if tier)
"""Names of the tiers that hold something, hottest first: device, host, storage."""

NEAR = 1.0
"""Steps to the next use: who is nearer acts in the step that is under way, or in the next one."""

STRAGGLER = 2.0
"""A call is a straggler when it takes this many times the median of those beside it."""


class Verb(IntEnum):
    """What the controller asks a replica to do with a payload (names of SGLang RFC #27574)."""

    PREFETCH = 1
    """Copy to a hotter tier ahead of use."""
    DEMOTE = 2
    """Leave the hotter tiers; a copy is kept in the target tier."""
    DROP = 3
    """Leave every tier."""
    PIN = 4
    """Never evict from the device until unpinned, or until the owner's lease ends."""
    UNPIN = 5


class Moves(NamedTuple):
    """Directives for payloads of one kind, in the order they should be carried out.

    Attributes:
        kind: Payload kind, e.g. `"prefix"`.
        verbs: uint8[n], values of `Verb`.
        keys: int64[n], payload keys.
        tiers: uint8[n], target `Tier` of a prefetch or demote; ignored by other verbs.
    """

    kind: str
    verbs: NDArray[np.uint8]
    keys: Keys
    tiers: NDArray[np.uint8]


class DistanceUpdate(NamedTuple):
    """Distances pushed to a replica, the order of its own evictions.

    Attributes:
        kind: Payload kind.
        keys: int64[n].
        distances: float32[n], simulation steps; inf forgets the payload's distance.
    """

    kind: str
    keys: Keys
    distances: Distances


class Directives(NamedTuple):
    """One answer to a replica's poll.

    Attributes:
        incarnation: Fencing number of the controller; grows with every restart.
        sequence: Grows by one with every answer that holds work; a poll acknowledges it.
        resync: The controller does not know this replica's residency; send all of it.
        distance_updates: Distances to take over before the moves.
        moves: What to do, at most one entry a kind.
    """

    incarnation: int
    sequence: int
    resync: bool = False
    distance_updates: tuple[DistanceUpdate, ...] = ()
    moves: tuple[Moves, ...] = ()


class Residency(NamedTuple):
    """Where payloads of one kind are, as one replica sees them: the truth for their keys.

    Rows carry absolute state, not differences, so a repeated message does no harm.
    A payload that left every tier is reported once with zero bytes.

    Attributes:
        kind: Payload kind.
        keys: int64[n].
        device_bytes: int64[n] found in GPU memory.
        host_bytes: int64[n] with a copy in host memory.
        storage_bytes: int64[n] with a copy in storage.
        total_bytes: int64[n], size of the whole payload when it is resident.
        in_use: bool[n], a running or queued request needs it.
    """

    kind: str
    keys: Keys
    device_bytes: Bytes
    host_bytes: Bytes
    storage_bytes: Bytes
    total_bytes: Bytes
    in_use: NDArray[np.bool_]


class TransferStats(NamedTuple):
    """Counts of one replica's moves of one payload kind since its engine started; never reset.

    Attributes:
        kind: Payload kind.
        issued: Prefetches started.
        used: Prefetched payloads a request then found in place.
        late: Prefetches a request overtook; it loaded or recomputed by itself.
        wasted: Prefetched payloads evicted before any request used them.
        refused: Directives not carried out: in use, no room, unknown.
        evicted_by_plan: Payload evictions ordered by a directive.
        evicted_by_pressure: Nodes evicted by the engine to make room.
        evicted_near: Those of them whose agent acts within `NEAR` steps: an order is due at once.
        issued_bytes: Bytes of `issued`.
        wasted_bytes: Bytes of `wasted`.
        used_bytes: Bytes of `used`.
        late_bytes: Bytes of `late`.
        restarted: Threads of its tiers found dead and started again; 0 in a healthy engine.
        loaded_bytes: Copied from host memory to the device ahead of requests.
        loaded_s: Seconds that link was busy with them, by the device's clock where it has one.
        staged_bytes: Read from storage to host memory ahead of requests.
        staged_s: Seconds that link was busy with them, as the scheduler saw it.
        computed_bytes: Computed by requests' prefill, in passes that did nothing else.
        computed_s: Seconds these took, by the device's clock where it has one.
        fault: What its storage failed with, which is off until it works again; else empty.
    """

    kind: str
    issued: int = 0
    used: int = 0
    late: int = 0
    wasted: int = 0
    refused: int = 0
    evicted_by_plan: int = 0
    evicted_by_pressure: int = 0
    evicted_near: int = 0
    issued_bytes: int = 0
    wasted_bytes: int = 0
    used_bytes: int = 0
    late_bytes: int = 0
    restarted: int = 0
    loaded_bytes: int = 0
    loaded_s: float = 0.0
    staged_bytes: int = 0
    staged_s: float = 0.0
    computed_bytes: int = 0
    computed_s: float = 0.0
    fault: str = ""


COUNTED = tuple(field for field, empty in TransferStats._field_defaults.items() if empty != "")
"""Fields of `TransferStats` that are numbers."""


ReplicaUpdate = tuple[Residency | TransferStats, ...]
"""What a replica sends the controller at once, in order."""


class Budgets(NamedTuple):
    """Bytes a replica, or one of its payload kinds, can hold in each tier."""

    device_bytes: int
    host_bytes: int
    storage_bytes: int


class ReplicaInfo(NamedTuple):
    """What a replica sends the controller when it attaches.

    Attributes:
        name: Unique and stable while the replica lives.
        budgets: Its tiers, all kinds together.
        kinds: Payload kinds it can move.
        seen_incarnation: Newest controller it has obeyed; a controller that starts must exceed it.
        kind_budgets: What of `budgets` is for each of `kinds`; empty where they share all of it.
        metrics: HOST:PORT of its own metrics; empty where it has none.
    """

    name: str
    budgets: Budgets
    kinds: tuple[str, ...]
    seen_incarnation: int = 0
    kind_budgets: tuple[Budgets, ...] = ()
    metrics: str = ""


class ReportAck(NamedTuple):
    """Answer to a batch of distances.

    Attributes:
        epoch: Newest epoch the controller knows of the simulation.
        accepted: Rows taken over.
        ignored: Rows with a NaN or negative distance; counted, never fatal.
    """

    epoch: int
    accepted: int
    ignored: int


class PlacementDelta(NamedTuple):
    """Where agents live, as far as that differs from rendezvous hashing over `replicas`.

    Attributes:
        version: Pass it to the next call; grows with every change.
        replicas: Names of the attached replicas, sorted.
        keys: int64[n], agents placed by exception.
        places: int32[n], index into `replicas`; -1 returns an agent to its hashed place.
        full: The delta replaces everything known before.
    """

    version: int
    replicas: tuple[str, ...]
    keys: Keys
    places: NDArray[np.int32]
    full: bool

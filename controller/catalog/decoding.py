"""What the catalog's keys hold, believed no further than it makes sense.

Anything may be found there: another program wrote to the keys, a disk lost half of them, a flush
was cut off. Nothing of it may keep a controller from starting.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from scalesim.controller.catalog.rows import ROW, CatalogNames, Packed
from scalesim.controller.interner import FREE
from scalesim.controller.payload_table import NOWHERE
from scalesim.controller.replicas import MAX_REPLICAS
from scalesim.controller.simulations import MAX_SIMULATIONS, NO_SIMULATION_NAME
from scalesim.controller.validation import MAX_EPOCH
from scalesim.vocabulary import PREFIX

_MAX_KINDS = int(np.iinfo(np.int8).max)
_MAX_BYTES = 2**60
_HEAD = re.compile(rb"([0-9]{1,15}):([0-9]{1,18})")
_FLAGS = ("pinned", "assigned", "exceptional")
_SIZES = ("total_bytes", "device_bytes", "host_bytes", "storage_bytes")


class DamagedError(Exception):
    """A value of the catalog is not what a controller writes; says which and why."""


class CatalogHeader(NamedTuple):
    """Who wrote last, and how often: by this a server that lost rows is found out."""

    incarnation: int
    flush: int


def read_head(value: bytes | str | None) -> CatalogHeader | None:
    """Return the head, None where there is none.

    Raises:
        DamagedError: It is something else.
    """
    if value is None:
        return None
    match = _HEAD.fullmatch(value) if isinstance(value, bytes) else None
    if match is None:
        raise DamagedError(f"the head is {value[:40]!r}")
    return CatalogHeader(int(match[1]), int(match[2]))


class _Saved(TypedDict):
    kinds: tuple[str, ...]
    replicas: tuple[str, ...]
    simulations: tuple[str, ...]
    epochs: tuple[float, ...]


def read_names(value: bytes | str) -> CatalogNames:
    """Return the names that numbers in rows stand for.

    Raises:
        DamagedError: They are something else, or cannot be numbered.
    """
    try:
        names = CatalogNames(**msgspec.json.decode(value, type=_Saved))
    except (msgspec.MsgspecError, ValueError) as error:
        raise DamagedError(f"the names cannot be read ({error})") from None
    faults = {
        "kinds": names.kinds[:1] != (PREFIX,) or FREE in names.kinds,
        "simulations": names.simulations[:1] != (NO_SIMULATION_NAME,),
        "epochs": len(names.epochs) != len(names.simulations)
        or not all(0 <= epoch <= MAX_EPOCH for epoch in names.epochs),
    }
    limits = {"kinds": _MAX_KINDS, "replicas": MAX_REPLICAS, "simulations": MAX_SIMULATIONS}
    for field, limit in limits.items():
        given = [name for name in getattr(names, field) if name != FREE]
        numbered = len(set(given)) == len(given) and len(getattr(names, field)) <= limit
        faults[field] = faults.get(field, False) or not numbered
    if any(faults.values()):
        wrong = ", ".join(field for field, is_wrong in faults.items() if is_wrong)
        raise DamagedError(f"the names do not make sense ({wrong})")
    return names


def read_rows(packed: bytes, names: CatalogNames) -> tuple[Packed, int]:
    """Return the rows that make sense, distinct in (kind, key), and how many do not.

    Args:
        packed: Rows of this version; a scan of the hash may give some of them twice.
        names: What the numbers in rows stand for.
    """
    rows = np.frombuffer(packed, ROW)
    order = np.lexsort((rows["key"], rows["kind"]))
    again = (np.diff(rows["key"][order]) == 0) & (np.diff(rows["kind"][order]) == 0)
    rows = np.delete(rows, order[1:][again])
    sound = _sound(rows, names)
    return rows[sound], int(np.count_nonzero(~sound))


def _sound(rows: Packed, names: CatalogNames) -> NDArray[np.bool_]:
    """Return bool[n], whether a row's numbers have names and its values can be reckoned with."""
    sound: NDArray[np.bool_] = (rows["kind"] >= 0) & (rows["kind"] < len(names.kinds))
    sound &= (rows["replica"] >= NOWHERE) & (rows["replica"] < len(names.replicas))
    sound &= (rows["simulation"] >= 0) & (rows["simulation"] < len(names.simulations))
    for field in ("due", "expires"):
        sound &= rows[field] > -np.inf  # NaN is not
    sound &= np.isfinite(rows["last_used"])
    for field in _SIZES:
        sound &= (rows[field] >= 0) & (rows[field] <= _MAX_BYTES)
    for field in _FLAGS:
        sound &= rows[field].view(np.uint8) <= 1
    return sound

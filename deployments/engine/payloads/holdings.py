"""How much of an agent's prefixes is where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from deployments.engine.payloads.tree import PrefixTree
from deployments.engine.prefixes import Prefix
from scalesim.vocabulary import Residency

ROWS_A_PASS = 128
"""Most rows told together, less than a millisecond of work: after a resync the rest comes later."""


def take_rows(changed: set[int]) -> list[int]:
    """Take a share of keys out of those that changed; returned in order."""
    keys = sorted(islice(changed, ROWS_A_PASS))
    changed.difference_update(keys)
    return keys


class Holding(NamedTuple):
    """Bytes of one agent in each tier, and in all when everything of it is resident."""

    device: int
    host: int
    storage: int
    total: int


def residency(
    kind: str, keys: Sequence[int], held: Sequence[Holding], in_use: Sequence[bool]
) -> Residency:
    """Return what agents hold as a message, one row a key."""
    device, host, storage, total = np.ascontiguousarray(np.array(held, np.int64).T)
    return Residency(
        kind=kind,
        keys=np.array(keys, np.int64),
        device_bytes=device,
        host_bytes=host,
        storage_bytes=storage,
        total_bytes=total,
        in_use=np.array(in_use, np.bool_),
    )


def holding(
    tree: PrefixTree, paths: Mapping[Prefix, Sequence[Any]], stored: Mapping[Prefix, int]
) -> Holding:
    """Return what an agent holds; a node counts once, and in equal parts for all its owners.

    Args:
        tree: The prefix cache.
        paths: Nodes of each of its prefixes, from the root.
        stored: Leading tokens of each prefix in storage.
    """
    device = host = storage = total = 0
    seen = set()
    for prefix, path in paths.items():
        begin = 0
        for node in path:
            end = begin + tree.tokens_of(node)
            if node not in seen:
                seen.add(node)
                share = (end - begin) * tree.bytes_per_token // max(1, len(node.owners))
                device += share * tree.on_device(node)
                host += share * tree.on_host(node)
                storage += share * (end <= stored.get(prefix, 0))
                total += share
            begin = end
        storage += max(0, stored.get(prefix, 0) - begin) * tree.bytes_per_token
        total += max(0, prefix.length - begin) * tree.bytes_per_token
    return Holding(device, host, storage, total)

"""How much of an agent's prefixes is where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deployments.engine.payloads.tree import PrefixTree
from deployments.engine.prefixes import Prefix


class Holding(NamedTuple):
    """Bytes of one agent in each tier, and in all when everything of it is resident."""

    device: int
    host: int
    storage: int
    total: int


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

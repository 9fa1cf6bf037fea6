"""The storage tier under the radix cache: `prefix_tree.Storage` over HiCache's own threads."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, Protocol

import numpy as np
from sglang.srt.mem_cache.base_prefix_cache import CacheRequestHandle
from sglang.srt.mem_cache.radix_cache import RadixKey
from sglang.srt.mem_cache.utils import get_storage_hash_str

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.prefixes import CacheSpace, Prefix, Tokens
from scalesim.deployments.engine.storage.known_pages import Chain, KnownPages

_THREADS = {
    "prefetch_thread": "prefetch_thread_func",
    "prefetch_io_aux_thread": "prefetch_io_aux_func",
    "prefetch_sync_thread": "prefetch_sync_thread_func",
    "backup_thread": "backup_thread_func",
}
"""Threads of HiCache's storage by attribute of its controller, and what each runs."""


class StoredTree(Protocol):
    """The radix cache above the tier: what it needs of ours, and all of SGLang's."""

    page_size: int

    @property
    def order(self) -> DistanceOrder:
        """Order in which the tree gives up memory."""

    def locate(self, tokens: Tokens, space: CacheSpace) -> Any:
        """Return the deepest node of a sequence."""

    def path(self, node: Any) -> Sequence[Any]:
        """Return the nodes from the root to `node` that are still in the tree."""

    def tokens_of(self, node: Any) -> int:
        """Return how many tokens a node holds."""

    def on_host(self, node: Any) -> bool:
        """Return whether it has a host copy."""

    def make_host_room(self, tokens: int, farther_than: float) -> bool:
        """Free host tokens of owners farther than a distance; return whether there are enough."""

    def __getattr__(self, name: str) -> Any:
        """Whatever else SGLang's cache has."""


class StorageRead:
    """One read, under a request id of ours: no request waits for it."""

    def __init__(self, cache: StoredTree, handle: Any) -> None:
        self._cache = cache
        self._handle = handle

    @property
    def in_flight(self) -> bool:
        if self._handle in self._cache.ongoing_prefetch:
            return True
        self._cache.pop_prefetch_loaded_span(self._handle)
        self._cache.storage_prefetch_retries.cancel(self._handle.rid)
        return False


class StorageTier:
    """Storage of one cache.

    Args:
        cache: It has a storage backend.
        pages: What the backend holds as far as is known.
    """

    def __init__(self, cache: StoredTree, pages: KnownPages) -> None:
        self._cache = cache
        self._pages = pages
        pages.nearest = cache.order.nearest
        self._chains: dict[int, dict[Prefix, Chain]] = {}
        self._numbers = count()
        self._restarted = 0

    def budget(self) -> int:
        return self._pages.quota_bytes

    def own(self, key: int, prefixes: Iterable[Prefix]) -> None:
        known = self._chains.get(key, {})
        chains = {p: known[p] if p in known else self._chain(p) for p in prefixes}
        self._chains[key] = chains
        self._pages.own(key, chains.values())

    def stored_tokens(self, key: int) -> dict[Prefix, int]:
        page = self._cache.page_size
        chains = self._chains.get(key, {})
        return {prefix: self._pages.holds(chain) * page for prefix, chain in chains.items()}

    def fetch(self, prefix: Prefix, distance: float) -> StorageRead | None:
        cache, (extra_key, salt) = self._cache, prefix.space
        tokens = prefix.tokens[: prefix.length].astype(np.int64)
        node = cache.locate(tokens, prefix.space)
        path = cache.path(node)
        if path and not cache.on_host(node):
            return None
        found = sum(map(cache.tokens_of, path))
        if cache.cache_controller.prefetch_rate_limited() or not cache.make_host_room(
            len(tokens) - found + self._promised_tokens(), distance
        ):
            return None
        handle = CacheRequestHandle(f"scalesim-{next(self._numbers)}", 0)
        cache.prefetch_from_storage(
            handle,
            node.id,
            array("q", tokens[found:].tobytes()),
            cache.get_last_hash_value(node.id),
            cache.get_prefix_hash_values(node.id)
            if cache.hicache_storage_pass_prefix_keys
            else None,
            matched_prefix_tokens=tokens[:found].tolist(),
            extra_key=extra_key,
            cache_salt=salt,
        )
        return StorageRead(cache, handle) if handle in cache.ongoing_prefetch else None

    def drop(self, key: int) -> None:
        if self._chains.pop(key, None) is not None:
            self._pages.drop(key)

    def take_changed(self) -> set[int]:
        return self._pages.take_changed()

    def restarted(self) -> int:
        controller = self._cache.cache_controller
        if controller.storage_stop_event.is_set():
            return self._restarted
        for name, work in _THREADS.items():
            if not getattr(controller, name).is_alive():
                thread = threading.Thread(target=getattr(controller, work), daemon=True)
                setattr(controller, name, thread)
                thread.start()
                self._restarted += 1
        return self._restarted

    def _promised_tokens(self) -> int:
        """Return the host tokens that reads in flight will take and have not yet."""
        reads = self._cache.ongoing_prefetch.values()
        return sum(len(read.prefetch_key) for read in reads if read.host_indices is None)

    def _chain(self, prefix: Prefix) -> Chain:
        extra_key, salt = prefix.space
        tokens = array("q", prefix.tokens[: prefix.length].astype(np.int64).tobytes())
        key = RadixKey(tokens, extra_key, cache_salt=salt)
        return tuple(get_storage_hash_str(key, page_size=self._cache.page_size))

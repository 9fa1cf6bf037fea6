"""What must hold in a scheduler where nothing runs and nothing is on its way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from scalesim.deployments.engine.sglang.pinned import ALIGNMENT

_ROOT = "the root of the prefix tree"


def is_settled(scheduler: Any) -> bool:
    """Return whether no request runs and no copy is under way."""
    cache = scheduler.tree_cache
    controller = cache.cache_controller
    under_way = (
        *(controller.ack_load_queue, controller.ack_write_queue),
        *(controller.load_queue, controller.write_queue),
        *(cache.ongoing_load_back, cache.ongoing_write_through),
        *(cache.ongoing_prefetch, cache.ongoing_backup),
        *_reads(controller),
    )
    return not any(under_way) and scheduler.is_fully_idle()


def _reads(controller: Any) -> Iterator[Any]:
    """What is on its way from storage; a read that was given up has pages until its thread ends."""
    if controller.enable_storage:
        for name in ("prefetch_queue", "prefetch_buffer", "prefetch_sync_queue"):
            yield getattr(controller, name).queue
        yield controller.host_mem_release_queue.queue


def guard_slots(slots: Any) -> None:
    """Let the run end where a copy ahead of requests takes the slot of an adapter they need.

    Answers would be right all the same: SGLang fetches what a pass reads before every pass.

    Args:
        slots: `LoRASlots`; its `enter` is wrapped.
    """
    enter = slots.enter

    def guarded(adapter: str) -> None:
        needed = set(slots.needed()).intersection(slots.resident())
        enter(adapter)
        gone = sorted(needed.difference(slots.resident()))
        assert not gone, f"adapters {gone}, which requests need, gave way to {adapter}"

    slots.enter = guarded


def check_integrity(scheduler: Any) -> None:
    """Return if tree, locks, pools, copies and slots are right.

    Raises:
        AssertionError: Says what is not.
    """
    cache = scheduler.tree_cache
    cache.sanity_check()
    nodes = [node for node in cache.tree_core._collect_all_nodes() if node is not cache.root_node]
    faults = [
        *_locks(nodes),
        *_pool("device", cache.token_to_kv_pool_allocator, [_device(node) for node in nodes]),
        *_pool("host", cache.cache_controller.mem_pool_host, [_host(node) for node in nodes]),
        *_copies(cache, nodes),
    ]
    if scheduler.enable_lora:
        manager = scheduler.tp_worker.model_runner.lora_manager
        faults += [*_slots(manager.memory_pool), *_pinned(manager.loras)]
    assert not faults, "; ".join(faults)


def _device(node: Any) -> torch.Tensor | None:
    from scalesim.deployments.engine.sglang.tree_core import FULL

    value: torch.Tensor | None = node.component_data[FULL].value
    return value


def _host(node: Any) -> torch.Tensor | None:
    from scalesim.deployments.engine.sglang.tree_core import FULL

    value: torch.Tensor | None = node.component_data[FULL].host_value
    return value


def _locks(nodes: list[Any]) -> list[str]:
    return [
        f"node {node.id} is locked ({data.lock_ref}, {data.host_lock_ref}) and nothing runs"
        for node in nodes
        for data in node.component_data
        if data is not None and (data.lock_ref or data.host_lock_ref)
    ]


def _pool(name: str, pool: Any, rows: list[torch.Tensor | None]) -> list[str]:
    """Return what is wrong with who has which rows of a pool."""
    had = [row for some in rows if some is not None for row in some.tolist()]
    faults = []
    if len(set(had)) != len(had):
        faults.append(f"{name} rows belong to two nodes")
    if pool.available_size() + len(had) != pool.size:
        faults.append(
            f"{name} pool: {pool.available_size()} rows are free and {len(had)} in the tree, of "
            f"{pool.size}"
        )
    return faults


def _copies(cache: Any, nodes: list[Any]) -> list[str]:
    """Return nodes whose copies in host memory and on the device are not the same."""
    pool = cache.cache_controller.mem_pool_host.anchor_entry.host_pool
    sides = list(
        zip(
            (*pool.k_data_refs, *pool.v_data_refs),
            (*pool.device_k_buffers, *pool.device_v_buffers),
            strict=True,
        )
    )
    faults = []
    for node in nodes:
        here, there = _device(node), _host(node)
        if here is not None and there is not None:
            same = all(torch.equal(device[here], _rows(host, there)) for host, device in sides)
            faults += [] if same else [f"node {node.id}: its copies are not the same"]
        for tensors, rows in ((1, here), (0, there)):
            if rows is not None and any(_rows(side[tensors], rows).isnan().any() for side in sides):
                faults.append(f"node {node.id}: something in it never arrived")
    return faults


def _rows(tensor: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return rows of a pool's layer, [tokens, heads, width] or in pages [pages, tokens, ...]."""
    if tensor.dim() == 3:
        return tensor[rows]
    page = tensor.shape[1]
    return tensor[rows // page, rows % page]


def _slots(pool: Any) -> list[str]:
    """Return what is wrong with who is in which adapter slot."""
    return [
        f"slot {number} is {uid!r}'s, and says {pool.buffer_id_to_uid[number]!r}"
        for uid, number in pool.uid_to_buffer_id.items()
        if pool.buffer_id_to_uid[number] != uid
    ]


def _pinned(adapters: dict[str, Any]) -> list[str]:
    """Return adapters whose host copies are not in one block of exactly their size."""
    faults = []
    for uid, adapter in adapters.items():
        weights = [weight for layer in adapter.layers for weight in layer.weights.values()]
        weights += adapter.embedding_layers.values()
        blocks = {weight.untyped_storage().data_ptr() for weight in weights}
        size = sum(math.ceil(weight.nbytes / ALIGNMENT) * ALIGNMENT for weight in weights)
        taken = weights[0].untyped_storage().nbytes()
        if len(blocks) > 1 or taken != size:
            faults.append(f"adapter {uid} takes {taken} bytes in {len(blocks)} blocks, not {size}")
    return faults

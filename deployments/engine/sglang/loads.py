"""Copies from host memory to the device: which are under way, and who must wait for which.

SGLang gives pages to the tree as soon as their copy is queued; only the batch that queued it waits.
A copy ahead of requests has no such batch: here every node knows the transfer that brings it, and
a pass that is about to read it waits for that one. One stream carries all transfers in order, so
the latest of several covers the earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

NO_EVENT = -1
"""What SGLang calls the slot of a batch that waits for nothing."""

SLOTS_OF_REQUESTS = 1
"""Slots of SGLang's layer-wise events that our transfers leave to those of requests."""


def wait_in_prefill_alone(scheduler: Any) -> None:
    """Let no decode pass of a scheduler wait for a copy: its batch did so when it was prefilled.

    SGLang leaves a batch the slot that its prefill waited for. Its decode passes would wait for
    whatever transfer has the slot by then, such as one ahead of requests.
    """
    run: Callable[..., Any] = scheduler.run_batch

    def run_waited(batch: Any, *args: Any, **kwargs: Any) -> Any:
        if batch.forward_mode.is_decode():
            batch.hicache_consumer_index = NO_EVENT
        return run(batch, *args, **kwargs)

    scheduler.run_batch = run_waited


class LoadingCache(Protocol):
    """What of a cache is needed: SGLang's controller of its copies, and our tree."""

    cache_controller: Any
    tree_core: Any


class Loads:
    """Transfers of one cache, numbered from 1 in the order of their stream.

    Attributes:
        carried_bytes: Carried by transfers of ours that arrived.
        busy_s: Seconds they took, by the device's own clock where it has one.
    """

    def __init__(self, cache: LoadingCache) -> None:
        self._cache = cache
        self._awaited: list[tuple[Any, int]] = []
        self.carried_bytes = 0
        self.busy_s = 0.0

    def can_start(self, *, ahead: bool) -> bool:
        """Return whether a transfer of ours may start.

        Several at a time: the link goes on while a pass is made. A request that must load by itself
        waits behind at most two that are ahead of requests, and finds a slot. Ranks agree, as they
        take arrived transfers off the queue together.
        """
        controller = self._cache.cache_controller
        if controller is None:
            return False
        slots: int = controller.layer_done_counter.num_counters
        left_over = SLOTS_OF_REQUESTS if ahead else 0
        return len(controller.ack_load_queue) + left_over < slots

    def free_slot(self) -> None:
        """Wait until the next transfer has a slot: SGLang dies where it has none."""
        counter = self._cache.cache_controller.layer_done_counter
        last_user = self._ack(self._next - counter.num_counters)
        if last_user is not None:
            last_user.finish_event.synchronize()

    def submitted(self, seconds: float) -> None:
        """Note that what was queued is a transfer now, and how long its submission took."""
        self._cache.tree_core.next_transfer += 1
        ack = self._ack(self._next - 1)
        if ack is not None and not ack.timing_enabled:
            self._note(ack, seconds)  # no device clock: a copy ends before its call returns

    def arrived(self, acks: Iterable[Any]) -> None:
        """Note transfers that are done and were taken off the queue."""
        for ack in acks:
            if ack.timing_enabled:
                self._note(ack, ack.start_event.elapsed_time(ack.finish_event) / 1000)

    def lock(self, lock: Any, node: Any) -> None:
        """Note that the next batch may read a node and those above it."""
        number = self._cache.tree_core.arrival(node)
        if number:
            self._awaited.append((lock, number))

    def unlock(self, lock: Any) -> None:
        """Undo `lock`: its request is not in the batch."""
        if self._awaited:
            self._awaited = [awaited for awaited in self._awaited if awaited[0] is not lock]

    def take_awaited(self) -> int:
        """Return the slot of the transfer that covers all noted locks, and forget them."""
        number = max((number for _, number in self._awaited), default=0)
        self._awaited.clear()
        counter = self._cache.cache_controller.layer_done_counter
        later = self._next - 1 - number
        if not number or later >= counter.num_counters:
            return NO_EVENT  # what used its slot again could start only after it was done
        slot: int = (counter.producer_index - later) % counter.num_counters
        return slot

    def finish(self, number: int) -> None:
        """Block until a transfer that was submitted is done."""
        ack = self._ack(number)
        if ack is not None:
            ack.finish_event.synchronize()

    def finish_all(self) -> None:
        """Block until no copy in either direction is under way; what was queued is left."""
        controller = self._cache.cache_controller
        if controller is not None:
            for ack in (*controller.ack_load_queue, *controller.ack_write_queue):
                ack.finish_event.synchronize()
        self._awaited.clear()

    @property
    def _next(self) -> int:
        number: int = self._cache.tree_core.next_transfer
        return number

    def _ack(self, number: int) -> Any:
        """Return the entry of a transfer in the queue of those under way, None if it left it."""
        queue = self._cache.cache_controller.ack_load_queue
        later = self._next - 1 - number
        return queue[-1 - later] if number > 0 and later < len(queue) else None

    def _note(self, ack: Any, seconds: float) -> None:
        self.carried_bytes += ack.num_bytes
        self.busy_s += seconds

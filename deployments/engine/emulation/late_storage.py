"""Pages between host memory and storage on a virtual clock, without threads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from scalesim.deployments.engine.emulation.copies import poison, same
from scalesim.deployments.engine.emulation.device import RaceError
from scalesim.deployments.engine.emulation.device_clock import DeviceClock
from scalesim.deployments.engine.emulation.storage import pages_at
from scalesim.deployments.engine.emulation.threads import LateThreads
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed, Times
from scalesim.vocabulary import PREFIX


def watch_storage_late(times: Times, clock: DeviceClock) -> LateThreads:
    """Let storage take time: pages read hold poison until then, pages written must be kept.

    Returns:
        HiCache's threads and those of our page folder, to be let go on in every pass.
    """
    from sglang.srt.managers import cache_controller
    from sglang.srt.mem_cache.hybrid_cache import hybrid_cache_controller
    from sglang.srt.utils import poll_timer

    from scalesim.deployments.engine.storage import folder

    threads = LateThreads(clock)
    for module in (cache_controller, hybrid_cache_controller, folder):
        threads.take(module)
    poll_timer.time = SimpleNamespace(perf_counter=clock.now)
    base = cache_controller.HiCacheController
    start, write = base._start_storage_threads, base._page_backup_or_log
    kept: dict[int, torch.Tensor] = {}

    def storage_s(size: int, tokens: int) -> float:
        return times.transfer_s(LinkSpeed.STORAGE, CopiedState(PREFIX, size, tokens))

    def started(self: Any) -> None:
        start(self)
        for name, begin in (
            ("prefetch_queue", lambda operation: storage_s(0, 0)),
            ("prefetch_buffer", lambda operation: begin_read(self, operation)),
            ("prefetch_sync_queue", lambda ack: 0.0),
            ("backup_queue", lambda operation: begin_write(self, operation)),
        ):
            setattr(self, name, threads.queue(begin))

    def begin_read(controller: Any, operation: Any) -> float:
        pool, rows = controller.storage_host_pool, operation.host_indices
        empty = poison(pool.get_dummy_flat_data_page())
        for row in rows[:: controller.page_size].tolist():
            pool.set_from_flat_data_page(row, empty)
        return storage_s(len(operation.hash_value) * empty.nbytes, len(rows))

    def begin_write(controller: Any, operation: Any) -> float:
        pages = kept[operation.id] = pages_at(controller, operation.host_indices)
        return storage_s(pages.nbytes, len(operation.host_indices))

    def written(self: Any, operation: Any) -> Any:
        if not same(pages_at(self, operation.host_indices), kept.pop(operation.id)):
            raise RaceError("pages were rewritten while storage read them: free them afterwards")
        return write(self, operation)

    base._start_storage_threads = started
    base._page_backup_or_log = written
    return threads

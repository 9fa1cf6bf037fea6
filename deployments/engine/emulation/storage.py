"""Pages between host memory and storage, on HiCache's own threads."""

from __future__ import annotations

from typing import Any

import torch

from scalesim.deployments.engine.emulation.copies import poison, same
from scalesim.deployments.engine.emulation.device import Device
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed
from scalesim.vocabulary import PREFIX


def watch_storage(device: Device) -> None:
    """Let storage take time: pages read hold poison until then, pages written must be kept."""
    from sglang.srt.managers.cache_controller import HiCacheController

    get, put = HiCacheController._generic_page_get, HiCacheController._generic_page_set

    def storage_s(size: int, tokens: int) -> float:
        return device.times.transfer_s(LinkSpeed.STORAGE, CopiedState(PREFIX, size, tokens))

    def get_late(
        self: Any, operation: Any, hashes: list[str], rows: torch.Tensor, extra: Any = None
    ) -> int:
        pool, begun = self.storage_host_pool, device.clock.now()
        empty = poison(pool.get_dummy_flat_data_page())
        for row in rows[:: self.page_size].tolist() if device.checked else ():
            pool.set_from_flat_data_page(row, empty)
        size = len(hashes) * empty.nbytes
        device.clock.wait_until(begun + storage_s(size, len(rows)))
        return int(get(self, operation, hashes, rows, extra))

    def put_late(self: Any, hashes: list[str], rows: torch.Tensor, extra: Any = None) -> bool:
        begun, before = device.clock.now(), pages_at(self, rows)
        device.clock.wait_until(begun + storage_s(before.nbytes, len(rows)))
        if device.checked and not same(pages_at(self, rows), before):
            device.fail("pages were rewritten while storage read them: free them afterwards")
        return bool(put(self, hashes, rows, extra))

    HiCacheController._generic_page_get = get_late
    HiCacheController._generic_page_set = put_late


def pages_at(controller: Any, rows: torch.Tensor) -> torch.Tensor:
    """Return a copy of the host pages that rows are of, of a controller's storage."""
    pool = controller.storage_host_pool
    return torch.cat([pool.get_data_page(row) for row in rows[:: controller.page_size].tolist()])

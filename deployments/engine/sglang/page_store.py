"""SGLang's storage backend over our page folder: pages in, pages out, damaged ones are misses."""

from __future__ import annotations

import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from sglang.srt.mem_cache.hicache_storage import HiCacheStorage, PoolName

from scalesim.deployments.engine.storage.disk import Disk
from scalesim.deployments.engine.storage.folder import PageFolder
from scalesim.deployments.engine.storage.rank_faults import RankFaults
from scalesim.errors import ConfigurationError


class PageStore(HiCacheStorage):  # type: ignore[misc]
    """Backend `dynamic` of HiCache; its extra configuration is `launch.storage_args`."""

    folder: PageFolder
    faults: RankFaults

    def __init__(self, config: Any, options: Any = None) -> None:
        self._config = config

    def register_mem_pool_host(self, mem_pool_host: Any) -> None:
        super().register_mem_pool_host(mem_pool_host)
        extra = self._config.extra_config
        folder = Path(extra["folder"]) / self._format(mem_pool_host)
        self.faults = _faults(self._config)
        disk = Disk(folder, on_fault=self.faults.report)
        self.folder = PageFolder(folder, extra["quota_bytes"], disk)

    def register_mem_host_pool_v2(self, host_pool: Any, host_pool_name: Any) -> None:
        if host_pool_name != PoolName.KV:
            raise ConfigurationError(
                f"the storage tier cannot keep the {host_pool_name} cache of this model: it keeps "
                "plain attention only; leave engine.storage_dir out"
            )

    def batch_exists(self, keys: list[str], extra_info: Any = None) -> int:
        for held, key in enumerate(keys):
            if not self.exists(key):
                return held
        return len(keys)

    def batch_get(
        self, keys: list[str], target_locations: Any = None, target_sizes: Any = None
    ) -> list[torch.Tensor | None]:
        return [self.get(key, page) for key, page in zip(keys, target_locations, strict=True)]

    def batch_set(
        self,
        keys: list[str],
        values: Any = None,
        target_locations: Any = None,
        target_sizes: Any = None,
    ) -> bool:
        return all(self.set(key, page) for key, page in zip(keys, values, strict=True))

    def get(
        self, key: str, target_location: Any = None, target_sizes: Any = None
    ) -> torch.Tensor | None:
        return target_location if self.folder.get(key, _view(target_location)) else None

    def set(
        self,
        key: str,
        value: Any = None,
        target_location: Any = None,
        target_sizes: Any = None,
    ) -> bool:
        return self.folder.put(key, _view(value))

    def exists(self, key: str) -> bool:
        return self.folder.on_disk(key)

    def clear(self) -> None:
        self.folder.clear()

    def _format(self, pool: Any) -> str:
        """Return a folder name for pages whose bytes mean the same: model, shard and layout."""
        config = self._config
        page = pool.get_dummy_flat_data_page()
        facts = (
            *(config.extra_config["model"], pool.layout, page.dtype, page.numel()),
            *(pool.layer_num, pool.page_size, config.is_mla_model),
            *(config.tp_rank, config.tp_size, config.pp_rank, config.pp_size),
            *(config.attn_cp_rank, config.attn_cp_size),
        )
        return blake2b(repr(facts).encode(), digest_size=12).hexdigest()


def _faults(config: Any) -> RankFaults:
    """Return what the ranks of this machine's part of the engine share, in its folder."""
    rank = config.pp_rank * config.tp_size + config.tp_rank
    rank = rank * config.attn_cp_size + config.attn_cp_rank
    ranks = config.pp_size * config.tp_size * config.attn_cp_size
    return RankFaults(Path(tempfile.gettempdir()) / "storage-faults", rank, ranks)


def _view(page: torch.Tensor) -> memoryview:
    return memoryview(page.contiguous().view(torch.uint8).numpy())

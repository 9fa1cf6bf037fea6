"""Copies of KV rows between an SGLang device pool and its host pool, by torch alone.

SGLang's own are CUDA kernels. These know every layout of the host pool that has views by layer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class PoolRows(NamedTuple):
    """Some rows of a tensor.

    Attributes:
        tensor: Which.
        at: Numbers of the rows, one tensor for each of its first dimensions.
    """

    tensor: Any
    at: tuple[Any, ...]

    def read(self) -> Any:
        """Return a copy of what is there."""
        return self.tensor[self.at]

    def write(self, values: Any) -> None:
        """Put something there."""
        self.tensor[self.at] = values


class RowCopies(NamedTuple):
    """Copies that are one piece of work.

    Attributes:
        to_device: Which way.
        page_size: Rows a page.
        device_rows: Rows of the KV pool.
        host_rows: Rows of the host pool.
        layers: Share of the model's layers that they are of.
        pairs: Rows from, rows to.
    """

    to_device: bool
    page_size: int
    layers: float
    device_rows: Any
    host_rows: Any
    pairs: Sequence[tuple[PoolRows, PoolRows]]


def copy_now(copies: RowCopies) -> None:
    """Copy synchronously."""
    for source, target in copies.pairs:
        target.write(source.read())


def patch(pool: Any, copy: Callable[[RowCopies], None]) -> None:
    """Let a class of SGLang's MHA host pools make its copies by `copy`."""
    pool.load_to_device_per_layer = functools.partialmethod(_load_layer, copy)
    pool.backup_from_device_all_layer = functools.partialmethod(_back_up, copy)


def _load_layer(
    pool: Any,
    copy: Callable[[RowCopies], None],
    device_pool: Any,
    host_rows: Any,
    device_rows: Any,
    layer: int,
    io_backend: str,
    *,
    is_draft: bool = False,
) -> None:
    pairs = _pairs(pool, host_rows, device_rows, [layer])
    copy(RowCopies(True, pool.page_size, 1 / pool.layer_num, device_rows, host_rows, pairs))


def _back_up(
    pool: Any,
    copy: Callable[[RowCopies], None],
    device_pool: Any,
    host_rows: Any,
    device_rows: Any,
    io_backend: str,
) -> None:
    pairs = _pairs(pool, host_rows, device_rows, range(pool.layer_num))
    back = [(here, there) for there, here in pairs]
    copy(RowCopies(False, pool.page_size, 1.0, device_rows, host_rows, back))


def _pairs(
    pool: Any, host_rows: Any, device_rows: Any, layers: Sequence[int]
) -> list[tuple[PoolRows, PoolRows]]:
    """Return host and device rows of keys and values of some layers."""
    paged = pool.layout == "page_first_direct"
    page = pool.page_size
    host = (host_rows // page, host_rows % page) if paged else (host_rows,)
    sides = (
        (pool.k_data_refs, pool.device_k_buffers),
        (pool.v_data_refs, pool.device_v_buffers),
    )
    return [
        (PoolRows(there[layer], host), PoolRows(here[layer], (device_rows,)))
        for layer in layers
        for there, here in sides
    ]

"""The tensor-parallel ranks of one engine: `models.shared_memory.Ranks` over SGLang's group."""

from __future__ import annotations

from typing import Any

import torch


class TensorRanks:
    """The tensor-parallel ranks of one scheduler.

    Args:
        scheduler: SGLang's, with its groups.
    """

    def __init__(self, scheduler: Any) -> None:
        self.count: int = scheduler.tp_size
        self._group = scheduler.tp_cpu_group if self.count > 1 else None
        self.first: bool = self._group is None or torch.distributed.get_rank(self._group) == 0

    def agreed(self, yes: bool) -> bool:
        if self._group is None:
            return yes
        flag = torch.tensor(int(yes))
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MIN, group=self._group)
        return bool(flag)

    def broadcast(self, values: tuple[int, int]) -> tuple[int, int]:
        if self._group is None:
            return values
        spoken = torch.tensor(values, dtype=torch.int64)
        source = torch.distributed.get_global_rank(self._group, 0)
        torch.distributed.broadcast(spoken, source, group=self._group)
        first, second = spoken.tolist()
        return first, second

"""A scheduler as payload kinds see it: `payloads.base.Engine`."""

from __future__ import annotations

from typing import Any

from deployments.engine.sglang.adapters import LoRASlots
from deployments.engine.sglang.cache import DistanceRadixCache


class SchedulerEngine:
    """The parts of one scheduler that hold agent state."""

    def __init__(self, scheduler: Any) -> None:
        self.tree: DistanceRadixCache = scheduler.tree_cache
        self.tree.scheduler = scheduler
        self.slots = LoRASlots(scheduler) if scheduler.enable_lora else None

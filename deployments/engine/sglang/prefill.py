"""How fast prefill is, by the device's own clock: what a prefix costs that was not kept."""

from __future__ import annotations

from collections import deque
from typing import Any

from sglang.srt.model_executor.forward_batch_info import ForwardMode

from scalesim.deployments.engine.payloads.prefix_tree import TreeListener
from scalesim.deployments.engine.sglang.timed_copy import TimedCopy

REPORTED_COMPUTED_S = 0.2
"""Seconds of prefill that are reported together: its speed hardly changes between requests."""

LITTLE_TOKENS = 256
"""A pass of so few takes as long as one of a single token: it reads all weights, or its kernels are
launched one by one. An H100 computes them in 8 ms with Llama-3.1-8B in bf16."""


class PrefillClock:
    """Times passes that only prefill and wait for no copy: others tell nothing about its speed.

    Args:
        scheduler: SGLang's; its `run_batch` is wrapped.
        watcher: Who is notified.

    Attributes:
        least_s: What the shortest of them took that computed little; 0 until one ended.
    """

    def __init__(self, scheduler: Any, watcher: TreeListener) -> None:
        self._scheduler = scheduler
        self._watcher = watcher
        self._run = scheduler.run_batch
        self._under_way: deque[tuple[int, TimedCopy]] = deque()
        self._tokens, self._seconds = 0, 0.0
        self.least_s = 0.0
        scheduler.run_batch = self._timed

    def _timed(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        if batch.forward_mode is not ForwardMode.EXTEND or batch.hicache_consumer_index >= 0:
            return self._run(batch, *args, **kwargs)
        scheduler = self._scheduler
        device = scheduler.device_module
        stream = scheduler.forward_stream if scheduler.enable_overlap else device.current_stream()
        passed = TimedCopy(device)
        with passed.on(stream):
            result = self._run(batch, *args, **kwargs)
        self._under_way.append((batch.extend_num_tokens, passed))
        return result

    def collect(self) -> None:
        """Tell, in portions, of passes that ended."""
        while self._under_way and self._under_way[0][1].arrived:
            tokens, passed = self._under_way.popleft()
            self._tokens += tokens
            self._seconds += passed.seconds
            if tokens <= LITTLE_TOKENS:
                self.least_s = min(self.least_s or passed.seconds, passed.seconds)
        if self._seconds >= REPORTED_COMPUTED_S:
            self._watcher.computed(self._tokens, self._seconds)
            self._tokens, self._seconds = 0, 0.0

"""What a scheduler's own processor takes for requests, where the clock is not the machine's."""

from __future__ import annotations

from typing import Any, NamedTuple

from scalesim.deployments.engine.emulation.device_clock import VirtualClock


class ProcessorTimes(NamedTuple):
    """Seconds of the scheduler's thread.

    Attributes:
        pass_s: For a pass.
        admission_s: For each request that joins a batch.
        insertion_s: Each time that a request's state is put into the prefix tree.
    """

    pass_s: float = 1e-3
    admission_s: float = 0.0
    insertion_s: float = 0.0


PASSES_ALONE = ProcessorTimes()
"""Requests take nothing."""


def watch_processor(cache: Any, clock: VirtualClock, times: ProcessorTimes) -> None:
    """Let a scheduler's work for requests take time; a pass is its owner's to count.

    Args:
        cache: Its prefix cache.
        clock: Moved by that work.
        times: What it takes.
    """
    from sglang.srt.managers.schedule_policy import PrefillAdder

    add, insert = PrefillAdder.add_one_req, cache.checkpoint_into_tree

    def added(*args: Any, **more: Any) -> Any:
        clock.advance(times.admission_s)
        return add(*args, **more)

    def inserted(*args: Any, **more: Any) -> Any:
        clock.advance(times.insertion_s)
        return insert(*args, **more)

    PrefillAdder.add_one_req, cache.checkpoint_into_tree = added, inserted

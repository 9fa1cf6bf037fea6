"""A run of one arm: how it is driven, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scalesim.sender import Stats
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.target import Target
from scalesim.simulations.workload import Workload

Stepping = Literal["barrier", "causal"]
OnError = Literal["stop", "continue"]

WatchStep = Callable[[int, CallTable], None]
"""Called with each step that everyone is past and the calls that ended in it; 0 is the warm-up."""


class RunOptions(NamedTuple):
    """How a run is driven.

    Attributes:
        workers: Ray actors the agents are spread over.
        concurrency: Turns under way at once, over all workers.
        think_s: Pause after each step, in barriers: what the simulation itself would compute.
        stepping: `causal` lets agents go on as soon as nobody behind them can reach them; None does
            where the World says who can.
        on_error: What a turn that fails does to the run.
    """

    workers: int = 2
    concurrency: int = 64
    think_s: float = 0.3
    stepping: Stepping | None = None
    on_error: OnError = "stop"


class Run(NamedTuple):
    """What one arm did.

    Attributes:
        warmup: Calls of the warm-up, outside of the clock; none where there was none.
        warmup_s: How long it took.
        calls: Calls of the steps.
        step_s: float64[steps], seconds from a step's begin to its last answer.
        wall_s: Seconds of all steps with their pauses.
        think_s: Seconds of that in pauses.
        hints: What became of the hints.
        resumed_after: Steps that were done before, by a run that died.
    """

    warmup: CallTable
    warmup_s: float
    calls: CallTable
    step_s: NDArray[np.float64]
    wall_s: float
    think_s: float
    hints: Stats
    resumed_after: int = 0

    @property
    def busy_s(self) -> float:
        """Seconds in which the simulation waited for answers."""
        return self.wall_s - self.think_s

    def faster(self, times: float) -> Run:
        """Return the same with all seconds divided."""
        return self._replace(
            warmup=self.warmup.faster(times),
            warmup_s=self.warmup_s / times,
            calls=self.calls.faster(times),
            step_s=self.step_s / times,
            wall_s=self.wall_s / times,
            think_s=self.think_s / times,
        )


class Drive(Protocol):
    """A simulation that can be run, once in every arm."""

    @property
    def workload(self) -> Workload:
        """Its agents and sizes, and their calls where they are known before the run."""
        ...

    def __call__(
        self, target: Target, run_options: RunOptions, watch: WatchStep, folder: Path
    ) -> Run:
        """Run it on a stack; Ray must be initialised.

        Args:
            target: The stack.
            run_options: How.
            watch: Told of each step.
            folder: Keeps the run; one that died there goes on.

        Raises:
            ScaleSimError: It could not be run to its end.
        """
        ...

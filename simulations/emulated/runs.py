"""Plays arms one after the other, each in a fork that begins where SGLang is imported."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scalesim.deployments.engine.emulation.forks import in_fork
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import ARMS, EmulatedCase

ARM_S = 600.0
"""Longest an arm may take here."""


def runs(
    cases: Sequence[EmulatedCase], arms: Sequence[str], emulation: EmulationSettings, folder: Path
) -> Iterator[tuple[EmulatedCase, str, dict[str, Any]]]:
    """Yield what each arm of each case did; arms of a case take turns.

    A run that fails has `fault` in the place of figures.
    """
    import torch

    torch.set_num_threads(1)  # others would not be there after a fork
    from scalesim.deployments.engine.emulation.inline import import_engine
    from scalesim.simulations.emulated.play import play

    import_engine()
    for case in cases:
        for arm in arms:
            begun = time.monotonic()
            found = in_fork(lambda: play(case, ARMS[arm], emulation, folder), ARM_S)  # noqa: B023
            yield case, arm, found | {"wall_s": round(time.monotonic() - begun, 1)}

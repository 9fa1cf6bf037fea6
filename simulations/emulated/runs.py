"""Plays arms one after the other, each in a fork that begins where SGLang is imported."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scalesim.deployments.engine.emulation.forks import in_forks
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import ARMS, EmulatedCase

ARM_S = 600.0
"""Longest an arm may take here."""


def runs(
    cases: Sequence[EmulatedCase],
    arms: Sequence[str],
    emulation: EmulationSettings,
    folder: Path,
    at_once: int = 1,
) -> Iterator[tuple[EmulatedCase, str, dict[str, Any]]]:
    """Yield what each arm of each case did; arms of a case take turns.

    A run that fails has `fault` in the place of figures.
    """
    import torch

    torch.set_num_threads(1)  # others would not be there after a fork
    from scalesim.deployments.engine.emulation.inline import import_engine
    from scalesim.simulations.emulated.play import play

    import_engine()

    def work(case: EmulatedCase, arm: str) -> dict[str, Any]:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(dir=folder) as own:
            found = play(case, ARMS[arm], emulation, Path(own))
        return found | {"wall_s": round(time.monotonic() - begun, 1)}

    played = [(case, arm) for case in cases for arm in arms]
    found = in_forks([partial(work, *each) for each in played], at_once, ARM_S)
    for (case, arm), figures in zip(played, found, strict=True):
        yield case, arm, figures

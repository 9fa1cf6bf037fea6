"""`scalesim bench emulated` refuses what it cannot play before the first arm starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalesim.errors import ScaleSimError
from scalesim.simulations.emulated.command import emulated


@pytest.mark.parametrize("text", ["", "[1]", '{"speed": 2}', '{"link_share": 2}', None])
def test_a_calibration_that_cannot_be_used(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ScaleSimError, match="calibration"):
        emulated(arms="hicache", calibration=file)


def test_a_gpu_that_is_not_known() -> None:
    with pytest.raises(ScaleSimError, match="choose one of"):
        emulated(gpu="h1000", arms="hicache")

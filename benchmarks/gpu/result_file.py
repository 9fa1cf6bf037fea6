"""The JSON of one part: written after every figure, so that what ends early leaves what it has."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu import portable
from benchmarks.results import FOLDER, write
from scalesim.simulations.report.provenance import hardware, versions

UNLIKE_THE_PAPER = (
    "random weights, so answers are noise and all have the same length",
    "one process: no Ray, no HTTP, token ids instead of text",
    "models are Llama shapes, not Qwen2.5-7B",
    "adapters change q and v only; beyond the first they are links to one file, loaded separately",
    "agents' prompts have one length",
)


class ResultFile:
    """Figures by name.

    Args:
        part: Such as `arms`.
        folder: Where `PART.json` goes.
        minutes: Time for the whole part.
        more: Anything else the reader needs.

    Attributes:
        figures: What was added.
    """

    def __init__(
        self, part: str, folder: Path = FOLDER / "gpu", minutes: float = 9.0, **more: Any
    ) -> None:
        self._part = part
        self._folder = folder
        self._ends_at = time.monotonic() + 60.0 * minutes
        self.figures: dict[str, Any] = {}
        self._left_out: list[str] = []
        self._header = {
            "versions": versions(),
            "hardware": hardware(),
            "kernels": portable.kernels(),
            "unlike_the_paper": UNLIKE_THE_PAPER,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }

    def room(self, name: str, seconds: float) -> bool:
        """Return whether there is time for another piece of work; notes that it is left out."""
        enough = time.monotonic() + seconds < self._ends_at
        if not enough:
            self._left_out.append(name)
        return enough

    def add(self, name: str, figures: Any) -> None:
        """Take figures in, in place of older ones of that name, and write everything."""
        self.figures[name] = figures
        header = {**self._header, "left_out_for_time": self._left_out}
        write(self._part, self.figures, self._folder, **header)

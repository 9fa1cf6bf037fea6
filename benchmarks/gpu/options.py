"""How every part is started."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import FOLDER


class Options(NamedTuple):
    """What the command line says.

    Attributes:
        small: A size for a CPU, minutes in all.
        minutes: Time for the part; what does not fit is left out and said so.
        out: Folder of the JSON.
        only: Beginnings of the names of what is run; all where empty.
        scratch: Folder for models and adapters, gone afterwards.
    """

    small: bool
    minutes: float
    out: Path
    only: tuple[str, ...]
    scratch: Path

    def wants(self, name: str) -> bool:
        """Return whether something of this name is to be run."""
        return not self.only or name.startswith(self.only)


Part = Callable[[Options], Coroutine[Any, Any, bool]]
"""Runs a part and returns whether what it checks holds."""


def parser() -> argparse.ArgumentParser:
    """Return the arguments that all parts take."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--small", action="store_true", help="a size for a CPU")
    arguments.add_argument("--minutes", type=float, default=9.0, help="time for the part")
    arguments.add_argument("--out", type=Path, default=FOLDER / "gpu", help="folder of the JSON")
    arguments.add_argument("--only", default="", help="names to run, with commas")
    return arguments


def main(part: Part) -> None:
    """Run one part as its command line says; exit with 1 where a check fails."""
    parsed = parser().parse_args()
    only = tuple(name for name in parsed.only.split(",") if name)
    with tempfile.TemporaryDirectory(prefix="scalesim-gpu-") as scratch:
        options = Options(parsed.small, parsed.minutes, parsed.out, only, Path(scratch))
        held = asyncio.run(part(options))
    sys.exit(0 if held else 1)

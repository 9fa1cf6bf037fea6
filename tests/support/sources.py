"""Sources of this repository, read and parsed once a process."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("cli", "controller", "deployments", "policies", "scalesim", "simulations")


@functools.cache
def modules(*folders: str) -> tuple[Path, ...]:
    """Return the modules below folders of the top level, each once."""
    return tuple(
        sorted(
            file
            for folder in folders
            for file in (ROOT / folder).rglob("*.py")
            if not any(parent.is_symlink() for parent in file.parents)
        )
    )


@functools.cache
def text(file: Path) -> str:
    return file.read_text()


@functools.cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(text(file))

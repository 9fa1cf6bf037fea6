"""Frameworks from the package index, each in an environment of its own: they conflict."""

from __future__ import annotations

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from scalesim.environment import cache_folder_from_env

ROOT = Path(__file__).parents[2]
CLIENT = ("httpx", "msgspec", "numpy", "pydantic", "rich", "typer")
"""What our client needs; itself it is installed again each time."""

_INSTALL_S = 600


def python_with(*requirements: str) -> Path:
    """Return a Python that has these packages and our client, kept in the user's cache.

    The test is skipped where there is no `uv` or the index does not answer.
    """
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".venv/bin"))
    if uv is None:
        pytest.skip("uv is not installed: pip install uv")
    digest = sha256("\n".join(requirements).encode()).hexdigest()[:8]
    folder = (
        cache_folder_from_env() / "frameworks" / f"{requirements[0].partition('==')[0]}-{digest}"
    )
    python = folder / "bin/python"
    try:
        if not (folder / "complete").exists():
            _run(uv, "venv", "-q", "--clear", "-p", "3.11", str(folder))
            _run(uv, "pip", "install", "-q", "-p", str(python), *CLIENT, *requirements)
            (folder / "complete").touch()
        _run(uv, "pip", "install", "-q", "--no-deps", "--reinstall", "-p", str(python), str(ROOT))
    except subprocess.SubprocessError as error:
        pytest.skip(f"{requirements[0]} could not be installed: is the index away? {error}")
    finally:
        shutil.rmtree(ROOT / "build", ignore_errors=True)  # else the next wheel has what was in it
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=_INSTALL_S)

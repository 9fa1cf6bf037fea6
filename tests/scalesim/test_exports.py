"""The package's face: its names, and how light it is."""

import subprocess
import sys

import pytest

import scalesim

NAMES = [
    "ClientSettings",
    "MesaWorld",
    "ScaleSimError",
    "Simulation",
    "Stats",
    "World",
    "agent",
    "current_headers",
    "httpx_auth",
    "instrument_openai",
]


def test_exported_names() -> None:
    assert dir(scalesim) == NAMES
    assert all(getattr(scalesim, name).__name__ == name for name in NAMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scalesim.nothing  # noqa: B018


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, scalesim; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "httpx", "pydantic", "msgspec", "ray", "torch", "openai", "scalesim.policies"}
    assert heavy.isdisjoint(loaded.stdout.split())

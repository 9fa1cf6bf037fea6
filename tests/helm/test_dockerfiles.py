"""The images' recipes, by the linter that people run over theirs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_lints(name: str) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None, "pip install -e '.[dev]'"
    done = subprocess.run([hadolint, ROOT / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

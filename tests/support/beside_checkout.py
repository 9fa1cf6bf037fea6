"""Data that tests find in a folder beside the checkout, and do without where it is not there."""

from __future__ import annotations

import pytest

from tests.support.sources import ROOT

FOLDER = ROOT.parent / "shared"
CRDS = FOLDER / "crds"
"""KubeRay's kinds."""
SMALLVILLE = FOLDER / "traces" / "smallville25.jsonl"
"""A recorded run of 25 agents."""

needs_smallville = pytest.mark.skipif(
    not SMALLVILLE.exists(), reason="the recorded run is not beside the checkout"
)

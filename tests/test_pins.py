"""One place says which engine we are written for."""

from __future__ import annotations

import re

import pytest
import yaml

from scalesim.pins import pinned
from tests.support.sources import ROOT


def test_pins_are_read_from_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert f'"sglang=={pinned("sglang")}"' in text
    assert f'"ray[serve]=={pinned("ray")}"' in text


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_images_have_the_pinned_engine(name: str) -> None:
    assert f"sglang=={pinned('sglang')}" in (ROOT / name).read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/operations/comparison.md"])
def test_pages_name_the_pinned_engine(page: str) -> None:
    named = re.findall(r"SGLang (\d+\.\d+\.\d+)", (ROOT / page).read_text())
    assert set(named) == {pinned("sglang")}


def test_the_chart_has_the_pinned_ray() -> None:
    values = yaml.safe_load((ROOT / "helm" / "scalesim" / "values.yaml").read_text())
    assert values["ray"]["version"] == pinned("ray")


def test_what_is_not_pinned_is_not_found() -> None:
    with pytest.raises(LookupError, match="no version of numpy"):
        pinned("numpy")


def test_no_other_module_says_the_version() -> None:
    files = [*(ROOT / "deployments").rglob("*.py"), *(ROOT / "policies").rglob("*.py")]
    assert [file for file in files if pinned("sglang") in file.read_text()] == []

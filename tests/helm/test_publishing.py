"""What a tag publishes: images as the chart asks for them, and the chart that names them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, pods, render
from tests.support.sources import ROOT

WORKFLOW = dict(yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yaml").read_text()))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGES: list[dict[str, Any]] = WORKFLOW["jobs"]["images"]["strategy"]["matrix"]["include"]


def test_chart_images_and_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    for file in ("Dockerfile", "Dockerfile.gpu"):
        assert f"scalesim:{VERSION}-" in (ROOT / file).read_text()


@pytest.mark.parametrize(("kind", "gpus"), [("cpu", 0), ("gpu", 8)])
def test_the_chart_asks_for_the_tags_that_are_pushed(kind: str, gpus: int) -> None:
    (image,) = (each for each in IMAGES if each["kind"] == kind)
    assert (ROOT / image["file"]).exists()
    (push,) = (
        step["with"]
        for step in WORKFLOW["jobs"]["images"]["steps"]
        if "build-push" in step.get("uses", "")
    )
    tag = push["tags"].replace("${{ env.REGISTRY }}", "registry")
    tag = tag.replace("${{ steps.version.outputs.version }}", VERSION)
    tag = tag.replace("${{ matrix.kind }}", kind)
    values = {"workers": {"gpus": gpus}, "image": {"repository": "registry/scalesim"}}
    for pod in pods(render(values)).values():
        assert pod["spec"]["containers"][0]["image"] == tag
    for option in (push["build-args"].partition("=")[0],):
        assert kind == "gpu" or f"ARG {option}" in (ROOT / image["file"]).read_text()


def test_the_image_for_cpus_is_for_both_architectures() -> None:
    (image,) = (each for each in IMAGES if each["kind"] == "cpu")
    assert set(image["platforms"].split(",")) == {"linux/amd64", "linux/arm64"}


def test_what_the_workflow_looks_for_in_our_files_is_there() -> None:
    (script,) = (step["run"] for step in WORKFLOW["jobs"]["chart"]["steps"] if "run" in step)
    for pattern, file in re.findall(r'grep -qx "(.*?)" (\S+)\n', script):
        wanted = pattern.replace("$version", VERSION).replace("\\", "")
        assert wanted in (ROOT / file).read_text().splitlines()
    pattern, file = re.search(r's\|\^(.*?)\$\|.*" (\S+)\n', script).groups()  # type: ignore[union-attr]
    assert (ROOT / file).read_text().splitlines().count(pattern) == 1
    assert "helm package helm/scalesim" in script
    assert "helm push" in script

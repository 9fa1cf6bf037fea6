"""Commands of the pages that install the chart: each is all that an installation needs."""

from __future__ import annotations

import re
import shlex

import helm_python
import pytest

from tests.support.chart import CHART, values_of
from tests.support.sources import ROOT

PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", CHART / "README.md"]
_COMMAND = re.compile(r"helm install \S+ \S*helm/scalesim(?: (?:\\\n|[^`\n|])*)?")


def commands() -> list[tuple[str, list[str]]]:
    """Return the words of each, with the page that it is on."""
    return [
        (str(page.relative_to(ROOT)), shlex.split(found.replace("\\\n", " ")))
        for page in PAGES
        for found in _COMMAND.findall(page.read_text())
    ]


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda each: str(each)[:30])
def test_it_renders(page: str, words: list[str]) -> None:
    assert ROOT / words[3] == CHART
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values_of(words), name=words[2], namespace="sim")
    assert "kind: RayService" in files["scalesim/templates/rayservice.yaml"]


def test_the_pages_have_some() -> None:
    pages = {page for page, _ in commands()}
    assert pages >= {"docs/operations/kind.md", "docs/operations/kubernetes.md"}

"""The rendered chart, as reviewed; `python -m tests.helm.test_goldens` writes it again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.chart import render, values_file

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("cpu", "gpu", "gpu-multinode")
SHORTENED = {"PrometheusRule", "ConfigMap"}
"""Their content has tests of its own."""


def rendered(name: str) -> str:
    objects = render(values_file(f"values-{name}.yaml")).values()
    kept = [each for each in objects if each["kind"] not in SHORTENED]
    return yaml.safe_dump_all(kept, sort_keys=True)


@pytest.mark.parametrize("name", NAMES)
def test_rendered_as_reviewed(name: str) -> None:
    assert rendered(name) == (GOLDEN / f"{name}.yaml").read_text()


if __name__ == "__main__":
    for each in NAMES:
        (GOLDEN / f"{each}.yaml").write_text(rendered(each))

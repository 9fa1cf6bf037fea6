"""Schema and README are those of values.yaml, and values.yaml explains itself."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python import lint

from helm.generate import CHART, FILES, SHAPES, documented, schema


@pytest.mark.parametrize("name", FILES)
def test_written_from_the_values(name: str) -> None:
    assert (CHART / name).read_text() == FILES[name](), "run python helm/generate.py"


def test_every_value_is_explained() -> None:
    for value in documented():
        leaf = not isinstance(value.default, dict) or not value.default
        assert value.text or not leaf or value.path[0] == "stack", value.path


def test_every_setting_of_the_stack_is_described() -> None:
    def silent(schema: dict[str, Any], path: str = "") -> list[str]:
        own = [] if "description" in schema or "$ref" in schema or not path else [path]
        below = schema.get("properties", {}).items()
        return own + [each for name, found in below for each in silent(found, f"{path}/{name}")]

    written = schema()
    stack = {
        f"${name}": written["$defs"][name] for name in written["$defs"].keys() - SHAPES["shapes"]
    }
    parts = {"": written, **stack}
    assert [each for name, found in parts.items() for each in silent(found, name)] == []


def test_lints() -> None:
    found = lint(str(CHART))
    assert not [each for each in found["messages"] if each["severity"] > 1]

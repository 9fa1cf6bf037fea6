"""Writes the chart's values.schema.json and README.md from values.yaml: `python helm/generate.py`.

A comment above a key describes it; types are those of the defaults, what is inside is in
`shapes.yaml`; `stack` is described by `scalesim.settings.StackSettings`, whose arguments it holds.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scalesim import settings
from scalesim.settings import StackSettings

CHART = Path(__file__).parent / "scalesim"
DASHBOARDS = Path(__file__).parents[1] / "dashboards"

SHAPES: dict[str, dict[str, Any]] = yaml.safe_load((CHART.parent / "shapes.yaml").read_text())
"""Under `shapes` the schemas that values have, by name; under `values` that name, by value."""
_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
_KEY = re.compile(r"^( *)([A-Za-z]\w*):")
_CHOICE = re.compile(r"One of: ([\w, ]+)\.")
_OPEN = {"resources", "podSecurityContext", "securityContext", "labels"}
"""Maps with defaults whose keys are Kubernetes' own."""
_FILLED_IN = {
    "EngineSettings": ["device"],
    "ApiKeySettings": ["key"],
    "EmbeddingsSettings": ["api_key"],
    "CatalogSettings": ["url", "data_dir", "password_file"],
    "IngressSettings": ["host", "port", "api_key"],
    "MetricsSettings": ["host"],
}
"""Fields of `stack` that the chart sets itself."""


class ChartValue(NamedTuple):
    """One documented key of values.yaml."""

    path: tuple[str, ...]
    default: Any
    text: str


def documented() -> list[ChartValue]:
    """Return every key of values.yaml with its default and the comment above it, in order."""
    source = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(source)
    found: list[ChartValue] = []
    comment: list[str] = []
    path: list[str] = []
    for line in source.splitlines():
        if line.lstrip().startswith("# "):
            comment.append(line.strip(" #"))
        elif match := _KEY.match(line):
            path[len(match[1]) // 2 :] = [match[2]]
            if _OPEN.intersection(path[:-1]):
                continue
            default = values
            for key in path:
                default = default[key]
            found.append(ChartValue(tuple(path), default, " ".join(comment)))
            comment = []
        else:
            comment = []
    return found


def schema() -> dict[str, Any]:
    """Return the JSON schema of the values; keys that are not documented are refused."""
    root = _closed("Values of the ScaleSim chart.")
    for value in documented():
        if value.path[0] == "stack":
            continue
        parent = root
        for key in value.path[:-1]:
            parent = parent["properties"][key]
        parent["properties"][value.path[-1]] = _property(value)
        if "properties" in parent["properties"][value.path[-1]] or not isinstance(
            value.default, list | dict
        ):
            # Helm takes a key away that a values file sets to null: templates would look inside it,
            # or write nothing in its place. Lists and maps of people's own are empty then.
            parent["required"].append(value.path[-1])
    stack = _stack()
    root["$defs"] = stack.pop("$defs") | SHAPES["shapes"]
    root["properties"]["stack"] = stack
    root["required"].append("stack")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root}


def _property(value: ChartValue) -> dict[str, Any]:
    if isinstance(value.default, dict) and value.default and value.path[-1] not in _OPEN:
        return _closed(value.text)
    found: dict[str, Any] = {"type": _TYPES[type(value.default)], "description": value.text}
    if shape := _shape(value.path):
        found["$ref"] = f"#/$defs/{shape}"
    elif found["type"] == "object":
        found["additionalProperties"] = True
    if found["type"] == "integer":
        found["minimum"] = 0
    if value.path[-1] == "port":
        found |= {"minimum": 1, "maximum": 65535}
    if choice := _CHOICE.search(value.text):
        found["enum"] = choice[1].split(", ")
    return found


def _shape(path: tuple[str, ...]) -> str | None:
    """Return the name of the most exact shape that there is for a value."""
    shapes = SHAPES["values"]
    ends = (".".join(path[start:]) for start in range(len(path)))
    return next((shapes[end] for end in ends if end in shapes), None)


def _closed(text: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": text,
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


def _stack() -> dict[str, Any]:
    """Return the schema of `StackSettings` without the fields that the chart fills in."""
    found = StackSettings.model_json_schema()
    texts = _docstrings()
    for name, model in {"StackSettings": found, **found["$defs"]}.items():
        for field in _FILLED_IN.get(name, ()):
            del model["properties"][field]
        for field, property_ in model["properties"].items():
            property_.pop("title", None)
            if text := texts.get((name, field)):
                property_["description"] = text
        model["required"] = []
    return found


def _docstrings() -> dict[tuple[str, str], str]:
    """Return the docstring under each field of the settings, by (class, field)."""
    texts = {}
    modules = Path(settings.__file__).parent.glob("*.py")
    classes = [node for module in modules for node in ast.parse(module.read_text()).body]
    for cls in classes:
        if isinstance(cls, ast.ClassDef):
            for field, below in itertools.pairwise(cls.body):
                match field, below:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        texts[cls.name, name] = inspect.cleandoc(text).replace("\n", " ")
    return texts


def readme() -> str:
    """Return the chart's README as it is, with a fresh table of values at its end."""
    rows = [
        f"| `{'.'.join(value.path)}` | `{json.dumps(value.default)}` | {value.text} |"
        for value in documented()
        if "properties" not in _property(value)
    ]
    words, marker, _ = (CHART / "README.md").read_text().partition(_TABLE)
    return "\n".join([words + marker, *rows, ""])


_TABLE = "| value | default | meaning |\n| --- | --- | --- |"

_COPIED = ("grafana/*.json", "prometheus/*.yaml")
"""Files copied from dashboards/: links to it are lost where a chart is taken from a git server."""

FILES: dict[str, Callable[[], str]] = {
    "values.schema.json": lambda: json.dumps(schema(), indent=2) + "\n",
    "README.md": readme,
    **{
        str(file.relative_to(DASHBOARDS)): file.read_text
        for pattern in _COPIED
        for file in sorted(DASHBOARDS.glob(pattern))
    },
}
"""What is written into the chart, by name."""


if __name__ == "__main__":
    for name, content in FILES.items():
        (CHART / name).write_text(content())

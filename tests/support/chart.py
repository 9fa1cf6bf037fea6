"""Renders the chart with the real Helm engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "scalesim"

NEEDED: dict[str, Any] = {
    "apiKey": {"secretName": "keys"},
    "redis": {"password": {"secretName": "keys"}},
    "stack": {"engine": {"model_path": "/models/m"}},
    "volumes": {"models": {"existingClaim": "models"}},
}
"""The least that an installation must give."""


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return nested values, later layers first, as `helm -f a -f b` does."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            known = result.get(key)
            nested = isinstance(known, dict) and isinstance(value, dict)
            result[key] = merged(known, value) if nested else value
    return result


def values_file(name: str) -> dict[str, Any]:
    """Return one of the chart's own values files."""
    return dict(yaml.safe_load((CHART / name).read_text()))


def render(*layers: dict[str, Any], release: str = "town") -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects that Helm makes of `NEEDED` and further values, by kind and name."""
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(merged(NEEDED, *layers), name=release, namespace="sim")
    objects = [
        found
        for path, text in files.items()
        if not path.endswith("NOTES.txt")
        for found in yaml.safe_load_all(text)
        if found
    ]
    named = {(found["kind"], found["metadata"]["name"]): found for found in objects}
    assert len(named) == len(objects), "two objects share kind and name"
    return named


def pods(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the RayService's pod templates by group."""
    (cluster,) = (
        found["spec"]["rayClusterConfig"]
        for (kind, _), found in objects.items()
        if kind == "RayService"
    )
    return {
        "head": cluster["headGroupSpec"]["template"],
        "worker": cluster["workerGroupSpecs"][0]["template"],
    }

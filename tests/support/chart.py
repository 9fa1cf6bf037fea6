"""Renders the chart with the real Helm engine."""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any

import helm_python
import yaml

from scalesim.settings import StackSettings, load
from tests.support.sources import ROOT

CHART = ROOT / "helm" / "scalesim"

NEEDED: dict[str, Any] = {
    "apiKey": {"secretName": "keys"},
    "redis": {"password": {"secretName": "keys"}},
    "ray": {"gcs": {"passwordSecretName": "store"}},
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


def values_of(words: list[str]) -> dict[str, Any]:
    """Return the values that the words of a `helm install` give, in its own order."""
    layers: list[dict[str, Any]] = []
    for option, given in itertools.pairwise(words):
        if option == "-f":
            layers.append(dict(yaml.safe_load((ROOT / given).read_text())))
        elif option == "--set":
            path, _, text = given.partition("=")
            layer: Any = int(text) if text.isdigit() else text
            for key in reversed(path.split(".")):
                layer = {key: layer}
            layers.append(layer)
    return merged(*layers)


def values_file(name: str) -> dict[str, Any]:
    """Return one of the chart's own values files."""
    return dict(yaml.safe_load((CHART / name).read_text()))


def render(*layers: dict[str, Any], release: str = "town") -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects that Helm makes of `NEEDED` and further values, by kind and name."""
    objects = [
        found
        for path, text in rendered_files(*layers, release=release).items()
        if not path.endswith("NOTES.txt")
        for found in yaml.load_all(text, yaml.CSafeLoader)
        if found
    ]
    named = {(found["kind"], found["metadata"]["name"]): found for found in objects}
    assert len(named) == len(objects), "two objects share kind and name"
    return named


def rendered_files(*layers: dict[str, Any], release: str = "town") -> dict[str, str]:
    """Return the files that Helm makes of `NEEDED` and further values, by the template's path."""
    return _rendered(json.dumps(merged(NEEDED, *layers)), release)


@cache
def _rendered(values: str, release: str) -> dict[str, str]:
    with helm_python.Chart.load(str(CHART)) as chart:
        return dict(chart.render(json.loads(values), name=release, namespace="sim"))


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


def application(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """Return the RayService's one application, as Serve is given it."""
    (service,) = (found for (kind, _), found in objects.items() if kind == "RayService")
    (app,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    return dict(app)


def settings(objects: dict[tuple[str, str], dict[str, Any]]) -> StackSettings:
    """Return what its application loads."""
    args = application(objects)["args"]
    loaded: StackSettings = load(StackSettings, {k: v for k, v in args.items() if k != "pods"})
    return loaded

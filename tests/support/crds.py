"""JSON schemas of KubeRay's kinds, strict: unknown fields are refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.support.beside_checkout import CRDS


@cache
def crd(kind: str) -> dict[str, Any]:
    """Return the CRD of a KubeRay kind; skips the test where the CRDs are not present."""
    path = CRDS / f"ray.io_{kind.lower()}s.yaml"
    if not path.exists():
        pytest.skip(f"KubeRay's CRDs are not beside the checkout, in {CRDS}")
    with path.open() as text:
        return dict(yaml.load(text, yaml.CSafeLoader))


@cache
def validator(kind: str) -> Draft202012Validator:
    """Return the validator of a KubeRay kind; skips the test where the CRDs are not present."""
    (schema,) = (v["schema"] for v in crd(kind)["spec"]["versions"] if v["name"] == "v1")
    return Draft202012Validator(_strict(schema["openAPIV3Schema"]))


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an API server's reading of a structural schema as a plain JSON schema."""
    found = dict(schema)
    if found.pop("x-kubernetes-int-or-string", False):
        found["type"] = ["integer", "string"]
    if "properties" in found:
        properties = found["properties"]
        found["properties"] = {name: _strict(value) for name, value in properties.items()}
        found["required"] = [
            name for name in found.get("required", ()) if "default" not in properties[name]
        ]
        if properties and not found.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _strict(found[key])
    return found

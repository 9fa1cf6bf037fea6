"""Fields of requests, from the models that check them."""

from __future__ import annotations

from typing import Any

from scalesim.deployments.engine import grammar
from scalesim.deployments.ingress import ROUTES
from scalesim.deployments.requests import REQUESTS
from scalesim.deployments.requests.refusal import REFUSED

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "over {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxProperties": "at most {} entries",
}
_HEAD = """# What a request may ask

Written by `make generated`. Fields that are not listed are
refused by name with status 400, as are values out of bounds; `null` is as if the field were absent.
What depends on the model (its vocabulary, `context_length` of `/v1/models`) is checked once the
prompt is tokenized, before an engine has it: a prompt with its answer is served whole, or refused
with what fits.
"""
_SCHEMAS = f"""
## Schemas of answers
An engine follows a schema token by token for all its requests, so one that could be slow to follow
is refused: over {grammar.MOST_BYTES // 1024} KiB of JSON, over {grammar.MOST_BRANCHES} branches of
`anyOf`, `oneOf` or `allOf`, over {grammar.MOST_NAMES} properties or values of one `enum`, lengths
and counts that add up to more than {grammar.MOST_REPEATS}, `pattern`, `patternProperties`,
`propertyNames`, and formats other than dates, times, `email`, `hostname`, `ipv4`, `ipv6` and
`uuid`. `min_tokens` does not go with a schema. An engine keeps 256 MiB of schemas ready to be
followed, the ones used last. xgrammar follows them, on GPUs and CPUs alike;
`engine.extra_args.grammar_backend` names another one, or `none`.
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    paths = {name: path for _, path, name in ROUTES}
    for endpoint, model in REQUESTS.items():
        path = paths[endpoint]
        schema = model.model_json_schema()
        parts.append(f"\n## `{path}`\n| field | values | meaning |\n|---|---|---|\n")
        for name, described in schema["properties"].items():
            meaning = described.get("description", "")
            parts.append(f"| `{name}` | {_values(described, schema)} | {meaning} |\n")
    parts.append(_SCHEMAS)
    parts.append("\n## Refused, and why\n| field | |\n|---|---|\n")
    parts += [f"| `{name}` | {why} |\n" for name, why in sorted(REFUSED.items())]
    return "".join(parts)


def _values(described: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in described:
        described = {**schema["$defs"][described["$ref"].rpartition("/")[2]], **described}
    kinds = [_kind(one) for one in described.get("anyOf", [described])]
    bounds = [text.format(described[name]) for name, text in _BOUNDS.items() if name in described]
    return ", ".join([" or ".join(dict.fromkeys(kinds)), *bounds])


def _kind(described: dict[str, Any]) -> str:
    if "enum" in described or "const" in described:
        return ", ".join(f"`{value}`" for value in described.get("enum", [described.get("const")]))
    if described.get("type") == "array":
        return f"list of {_kind(described['items'])}"
    return str(described.get("type", "object"))

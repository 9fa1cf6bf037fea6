"""Which grammars an engine may be given: those whose every step is short.

An engine follows a grammar in its own thread, a step a token, for the whole batch: one that can be
read in many ways takes seconds a step and holds everybody. The bounds lie below the worst of some
thirty schemas tried with xgrammar 0.2.7 (43 ms a step, 7 s until ready): probes, no proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from scalesim.errors import InvalidRequestError

MOST_BYTES = 32 * 2**10
MOST_BRANCHES = 16
MOST_NAMES = 200
MOST_REPEATS = 4096

_BRANCHES = ("anyOf", "oneOf", "allOf")
_NAMES = ("properties", "$defs", "definitions", "enum", "prefixItems")
_REPEATS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_REGEXES = ("pattern", "patternProperties", "propertyNames")
"""Regular expressions: `(a+)+` takes 0.2 s a token after 300 tokens, `(.{0,300}){0,300}` 10 s."""
_FORMATS = frozenset(
    {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
_KEYED = frozenset({"properties", "$defs", "definitions"})
_VALUES = frozenset({"default", "const", "enum", "examples"})


class _RefusedError(Exception):
    """Says what could hold an engine."""


def check_grammar(kind: str, text: str, field: str) -> None:
    """Check the grammar of a request.

    Args:
        kind: Name of SGLang's sampling parameter. No request can name a regular expression or an
            EBNF grammar; those that SGLang makes of tools itself are only bounded in size.
        text: JSON text of a schema, or of a structural tag with schemas in it.
        field: Field of the request, from which it comes.

    Raises:
        InvalidRequestError: It could hold the engine; says what does.
    """
    try:
        if len(text) > MOST_BYTES:
            raise _RefusedError(f"{len(text)} bytes of it, {MOST_BYTES} are served")
        if kind == "json_schema":
            _check(orjson.loads(text))
        elif kind == "structural_tag":
            _check([_embedded(part) for part in _schemas(orjson.loads(text))])
    except _RefusedError as why:
        raise InvalidRequestError(
            f"{field}: this schema could hold the engine ({why}): use a simpler one", field
        ) from None


def _embedded(part: dict[str, Any]) -> list[Any]:
    return [part[name] for name in ("json_schema", "schema") if name in part]


def _check(root: Any) -> None:
    repeats = 0.0
    for schema in _schemas(root):
        for name in _REGEXES:
            if name in schema:
                raise _RefusedError(f"{name!r} is not served")
        for names, most in ((_BRANCHES, MOST_BRANCHES), (_NAMES, MOST_NAMES)):
            for name in names:
                if _size(schema.get(name)) > most:
                    raise _RefusedError(f"{name!r} of {_size(schema[name])}, {most} are served")
        string_format = schema.get("format")
        if isinstance(string_format, str) and string_format not in _FORMATS:
            raise _RefusedError(f"format {string_format[:40]!r} is not served")
        counts = (schema.get(name) for name in _REPEATS)
        repeats += sum(count for count in counts if isinstance(count, int | float))
    if repeats > MOST_REPEATS:
        raise _RefusedError(
            f"its lengths and counts add up to {repeats:.0f}, {MOST_REPEATS} are served"
        )


def _schemas(root: Any) -> Iterator[dict[str, Any]]:
    """Yield every object that is neither a map of names nor a plain value."""
    below = [root]
    while below:
        value = below.pop()
        if isinstance(value, list):
            below += value
        elif isinstance(value, dict):
            yield value
            for name, inner in value.items():
                if name in _KEYED and isinstance(inner, dict):
                    below += inner.values()
                elif name not in _VALUES:
                    below.append(inner)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0

"""Every HTTP route: whether it needs the key, what it takes, answers and refuses."""

from __future__ import annotations

from typing import Any

from docs.generate.http_answers import ANSWERS
from docs.generate.text import first_paragraph, raised
from scalesim import headers
from scalesim.deployments import hint_routes
from scalesim.deployments.embeddings import EmbeddingsRequest
from scalesim.deployments.engine.admission import ContextLengthError
from scalesim.deployments.ingress import ROUTES, Ingress
from scalesim.deployments.middleware import OPEN_PATHS
from scalesim.deployments.requests.hint_document import HintDocument
from scalesim.deployments.suspects import EngineLostError
from scalesim.errors import ScaleSimError

_HEAD = """# HTTP routes
Written by `make generated` from `deployments/ingress.py`. A key is `Authorization: Bearer KEY`,
or `x-api-key: KEY` as Anthropic's clients send it, asked for where the stack has one, which it must
beyond loopback. Bodies are JSON, or msgpack with `Content-Type: application/msgpack`. Every `GET`
also answers `HEAD`, every path `OPTIONS`. How clients use it: [endpoints](../api.md).

| route | key | |
|---|---|---|
"""
_BODIES: dict[str, str | dict[str, str]] = {
    "chat": "[Fields](requests.md).",
    "completions": "[Fields](requests.md).",
    "responses": "[Fields](requests.md).",
    "messages": "[Fields](requests.md).",
    "tokenize": "[Fields](requests.md).",
    "embeddings": {
        name: str(field.description).rstrip(".")
        for name, field in EmbeddingsRequest.model_fields.items()
    },
    "distances": hint_routes.DISTANCES_FIELDS,
    "hints": {
        name: str(field.description).rstrip(".")
        for name, field in HintDocument.model_fields.items()
    },
    "agents": hint_routes.LIFECYCLE_FIELDS,
}
_HEADERS = f"""
## Headers of a request for inference
| header | meaning |
|---|---|
| `{headers.AGENT}` | agent id, percent-encoded UTF-8 where it is not ASCII |
| `{headers.SIMULATION}` | simulation [`default`, or the first one of the key] |
| `{headers.NEXT_USE}` | steps from now to the agent's call after this one |
| `{headers.STEP}` | step of the call: of those that wait in a simulation, the earliest go first |
| `{headers.ADAPTER}` | id of the LoRA adapter that answers, where the model's name has none |
| `{headers.REQUEST_ID}` | of any route: names the request, comes back with its answer |

Its answer carries `{headers.RESIDENCY}` (coldest tier that had to be read: `device`, `host`,
`storage`, or `miss`), `{headers.CACHED_TOKENS}` (`prompt=800, device=704, host=0, storage=0`) and
`{headers.REPLICA}`.
"""
_ERRORS = """
## Errors
Every error is `{"type": "error", "error": {"message", "type", "param", "code"}}`, which clients of
OpenAI and of Anthropic read; one that may go away by itself has `Retry-After: 1`. Every route that
needs the key may answer `invalid_api_key`, and any route `internal_error`. What is refused before a
request is read: 408 for headers or a body that do not come in time, 431 for headers too large, 503
for a connection too many (`controller/connection_limits.py`).
A stream that breaks off ends with one event that holds such an error.

| code | status | try again | meaning |
|---|---|---|---|
"""
_FAILED = "The stack failed at this request: its log says why."

_OWN_PORTS = """
## Ports of controller and replicas
`GET` on any path of `metrics.controller_port` and `metrics.replica_port` answers with the process's
[metrics](metrics.md); beyond loopback it needs the key (`controller/runtime/metrics_endpoint.py`).
"""


def page() -> str:
    """Return the page."""
    rows = [
        f"| `{method} {path}` | {'no' if path in OPEN_PATHS else 'yes'} | {_says(name)} |\n"
        for method, path, name in ROUTES
    ]
    parts = [_route(*route) for route in ROUTES if raised(_handler(route[2]))]
    return "".join((_HEAD, *rows, _HEADERS, *parts, _OWN_PORTS, _ERRORS, *_errors()))


def _route(method: str, path: str, name: str) -> str:
    parts = [f"\n## `{method} {path}`\n{_says(name)}\n"]
    body = _BODIES.get(name, "")
    if isinstance(body, dict):
        parts += _table("field", body)
    elif body:
        parts.append(f"{body}\n")
    parts += _table("field of the answer", ANSWERS.get(name, {}))
    known = {cls.__name__: cls for cls in _classes(ScaleSimError)}
    codes = [f"{known[error].status} `{known[error].code}`" for error in raised(_handler(name))]
    parts.append(f"\nErrors: {', '.join(codes)}.\n")
    return "".join(parts)


def _table(of: str, fields: dict[str, str]) -> list[str]:
    rows = [f"| `{field}` | {text} |\n" for field, text in fields.items()]
    return [f"\n| {of} | meaning |\n|---|---|\n", *rows] if rows else []


def _handler(name: str) -> Any:
    return getattr(Ingress.func_or_class, name)  # type: ignore[attr-defined]


def _says(name: str) -> str:
    return first_paragraph(_handler(name))


def _errors() -> list[str]:
    answered = {name for *_, handler in ROUTES for name in raised(_handler(handler))}
    answered |= {"AuthenticationError", "ScaleSimError", EngineLostError.__name__}
    answered |= {ContextLengthError.__name__}
    rows = {}
    for cls in _classes(ScaleSimError):
        if cls.__name__ in answered:
            says = _FAILED if cls is ScaleSimError else first_paragraph(cls)
            cells = (f"`{cls.code}`", str(cls.status), "yes" if cls.retryable else "no", says)
            rows[cls.status, cls.code] = "| " + " | ".join(cells) + " |\n"
    return [row for _, row in sorted(rows.items())]


def _classes(root: type[ScaleSimError]) -> list[type[ScaleSimError]]:
    """Return a class of errors and all below it that are ours, in order of the code."""
    found = [root]
    for cls in root.__subclasses__():
        found += _classes(cls)
    return [cls for cls in dict.fromkeys(found) if cls.__module__.startswith("scalesim.")]

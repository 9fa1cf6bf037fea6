"""Says which field is wrong, and why fields that people know from elsewhere are not taken."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scalesim.errors import InvalidRequestError

_SHOWN = 60
_OURS = "is the server's own: leave it out"
_INSIDE = "would reach inside the engine: leave it out"
_GRAMMAR = "can hold an engine for minutes: use response_format with a JSON schema"
_KEPT = "names what is not kept here: send the whole input"
_ELSEWHERE = "is for Anthropic's own servers: leave it out"

REFUSED = {
    "audio": "is not served: only text is",
    "cache_salt": _OURS,
    "container": _ELSEWHERE,
    "conversation": _KEPT,
    "custom_logit_processor": _INSIDE,
    "custom_params": _INSIDE,
    "data_parallel_rank": _OURS,
    "diagnostics": _ELSEWHERE,
    "ebnf": _GRAMMAR,
    "extra_key": _OURS,
    "function_call": "is not served: use tool_choice",
    "functions": "is not served: use tools",
    "inference_geo": _ELSEWHERE,
    "input_embeds": _INSIDE,
    "input_ids": "is not served: send token ids as the prompt of /v1/completions",
    "json_schema": "is not served: use response_format",
    "lora_path": "names files: use `model:adapter` as the model",
    "max_tool_calls": "is for tools of OpenAI's own servers, which are not served: leave it out",
    "mcp_servers": _ELSEWHERE,
    "previous_response_id": _KEPT,
    "priority": _OURS,
    "regex": _GRAMMAR,
    "rid": _OURS,
    "routed_dp_rank": _OURS,
    "session_params": _INSIDE,
    "speed": _ELSEWHERE,
    "stop_regex": "can hold an engine for minutes: use stop",
    "structural_tag": _GRAMMAR,
    "user_profile_id": _ELSEWHERE,
    "web_search_options": "is not served: no search is",
    "workspace_id": _ELSEWHERE,
}
"""Known fields that are never taken, and what to do instead."""


def refusal(error: ValidationError, under: str = "") -> InvalidRequestError:
    """Return what to answer: the deepest fault, its field as the caller wrote it.

    Args:
        error: What pydantic found.
        under: Path of what was validated; empty for a whole body.
    """
    faults = error.errors(include_url=False, include_input=False)
    fault = max(faults, key=lambda one: len(one["loc"]))
    where = ".".join(_path(fault))
    message = fault["msg"]
    if fault["type"] == "extra_forbidden":
        message = REFUSED.get(where, "is not a field here: see docs/reference/requests.md")
    elif fault["type"] == "together":
        name = fault["ctx"]["field"]
        where = f"{where}.{name}" if where else name
    where = ".".join(filter(None, (under, where))) or "body"
    return InvalidRequestError(f"{where}: {message}", where)


def _path(fault: ErrorDetails) -> list[str]:
    """Return where it is, without the names that pydantic gives to branches of a union."""
    parts = [str(part) for part in fault["loc"]]
    return [part[:_SHOWN] for part in parts if "[" not in part and part not in _BRANCHES]


_BRANCHES = {"str", "NamedTool", "literal"}

"""How an agent's identity travels with a request: an action in SGLang's `kv_hints` envelope."""

from __future__ import annotations

from typing import Any

HINT_TYPE = "scalesim.agent"


def hints(key: int, next_use: float | None = None, model: str = "") -> dict[str, Any]:
    """Return the envelope of a request of agent `key`.

    Args:
        key: Payload key of the agent's prefix.
        next_use: Steps from the end of this request to the agent's next one, if reported.
        model: Identity of the model it is for; empty for the engine's own.
    """
    action = {
        "action_id": "0",
        "action_type": HINT_TYPE,
        "action_version": "1",
        "payload": {"key": key, "next_use": next_use, "model": model},
    }
    return {"protocol_version": "1", "message_id": "scalesim", "actions": [action]}


def salted(salt: str, model: str) -> str:
    """Return the salt of a request's KV: a tenant's, and apart for each model but the engine's own.

    Unlike SGLang's `extra_key`, no request can choose it.
    """
    return f"{salt}/{model}" if model else salt

"""Settings of the stack that client libraries are checked against."""

from __future__ import annotations

from typing import Any

KEY = "test-key"
TOWN_KEY = "town-key"
ANSWER_TOKENS = 32


def values(model: str) -> dict[str, Any]:
    """Return `StackSettings` as plain values: one small engine, aliases, two keys."""
    return {
        "engine": {
            "model_path": model,
            "dtype": "float32",
            "device": "cpu",
            "device_tokens": 2048,
            "context_length": 1024,
            "extra_args": {"tool_call_parser": "pythonic"},
        },
        "ingress": {
            "port": 0,
            "api_key": KEY,
            "api_keys": {
                "town": {"key": TOWN_KEY, "simulations": ["town", "town-*"], "max_requests": 2}
            },
            "default_max_tokens": ANSWER_TOKENS,
            "model_aliases": {"gpt-4o-mini": "scalesim"},
            "cors_origins": ["https://town.example"],
        },
        "controller": {"key_quotas": {"town": {"max_agents": 3, "max_share": 0.5}}},
    }

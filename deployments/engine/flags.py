"""SGLang's messages in our names: it asks people to set flags of its own command."""

from __future__ import annotations

import re

_MOST_SHOWN = 500

_FLAG = re.compile(r"--([a-z][a-z0-9-]+)")

_SETTINGS = {
    "context-length": "engine.context_length",
    "lora-target-modules": "engine.adapters.modules",
    "max-loaded-loras": "engine.adapters.loaded",
    "max-lora-rank": "engine.adapters.max_rank",
    "max-loras-per-batch": "engine.adapters.slots",
    "max-running-requests": "engine.max_running_requests",
    "max-total-tokens": "engine.device_tokens",
    "served-model-name": "engine.served_model_name",
    "tp-size": "engine.tp_size",
}
"""Those that have a setting of their own; the others are passed on by `engine.extra_args`."""


def in_our_names(message: str) -> str:
    """Return the beginning of a message of SGLang's, its flags as people set them here."""
    named = _FLAG.sub(lambda flag: _setting(flag[1]), message)
    return named if len(named) <= _MOST_SHOWN else f"{named[:_MOST_SHOWN]}..."


def _setting(flag: str) -> str:
    return _SETTINGS.get(flag, f"engine.extra_args.{flag.replace('-', '_')}")

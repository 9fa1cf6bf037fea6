"""What SGLang's tokenizer manager has not got the end of."""

from __future__ import annotations

from typing import Any


def has_ended(manager: Any, rid: str) -> bool:
    """Return whether an engine has reported the end of a request, read or not."""
    return rid not in manager.rid_to_state

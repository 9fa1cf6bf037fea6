"""What SGLang's tokenizer manager has not got the end of."""

from __future__ import annotations

from typing import Any


def has_ended(manager: Any, rid: str) -> bool:
    """Return whether an engine has reported the end of a request, read or not."""
    return rid not in manager.rid_to_state


def hear_of_first_token(manager: Any, request: Any) -> None:
    """Let the engine stream a request whose client does not; each piece holds all tokens so far.

    Nothing changes where the engine is set to send in each piece only what is new.
    """
    if not getattr(manager, "incremental_streaming_output", False):
        request.stream = True

"""Errors in the shape that clients of OpenAI and of Anthropic expect."""

from __future__ import annotations

import json

from scalesim.errors import (
    AuthenticationError,
    InvalidRequestError,
    PermissionDeniedError,
    QuotaExceededError,
    ScaleSimError,
)

_TYPES = {
    InvalidRequestError: "invalid_request_error",
    AuthenticationError: "authentication_error",
    PermissionDeniedError: "permission_error",
    QuotaExceededError: "rate_limit_error",
}
"""What clients tell errors apart by, beside the status; all others are the server's."""


def error_body(
    message: str, kind: str, param: str | None = None, code: str | int | None = None
) -> bytes:
    """Return `{"type": "error", "error": {"message", "type", "param", "code"}}` as JSON.

    OpenAI's is the inner object; Anthropic's needs `type` beside it.
    """
    fields = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"type": "error", "error": fields}).encode()


def body_of(error: ScaleSimError) -> bytes:
    """Return the body of one of our errors."""
    type_ = next((name for cls, name in _TYPES.items() if isinstance(error, cls)), "server_error")
    return error_body(str(error), type_, getattr(error, "field", None), error.code)

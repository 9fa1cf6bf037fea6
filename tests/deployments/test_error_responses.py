"""What clients of OpenAI and of Anthropic read of an error."""

from __future__ import annotations

import json

import pytest

from scalesim.deployments.error_responses import body_of
from scalesim.errors import (
    AuthenticationError,
    ControllerUnavailableError,
    InvalidRequestError,
    PermissionDeniedError,
    QuotaExceededError,
    ScaleSimError,
    UnknownModelError,
)


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (InvalidRequestError("no", "n"), 400, "invalid_request_error"),
        (UnknownModelError("no", "model"), 404, "invalid_request_error"),
        (AuthenticationError("no"), 401, "authentication_error"),
        (PermissionDeniedError("no"), 403, "permission_error"),
        (QuotaExceededError("no"), 429, "rate_limit_error"),
        (ControllerUnavailableError("no"), 503, "server_error"),
        (ScaleSimError("no"), 500, "server_error"),
    ],
)
def test_only_the_servers_faults_are_server_errors(
    error: ScaleSimError, status: int, type_: str
) -> None:
    answer = json.loads(body_of(error))
    assert error.status == status
    assert answer["type"] == "error"
    assert answer["error"]["type"] == type_
    assert answer["error"]["code"] == error.code

"""What may be asked: every field of every endpoint with its bounds, checked before any engine.

A field that is not listed is refused by name. What depends on the model (its vocabulary, how much
fits) is checked by the replica once the prompt is tokenized: `deployments.engine.admission`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from scalesim.deployments.calls import Endpoint
from scalesim.deployments.requests.anthropic import AnthropicRequest
from scalesim.deployments.requests.chat import ChatRequest
from scalesim.deployments.requests.completions import CompletionsRequest
from scalesim.deployments.requests.refusal import refusal
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.responses import ResponsesRequest
from scalesim.deployments.requests.tokenize import TokenizeRequest

REQUESTS: dict[Endpoint, type[RequestModel]] = {
    "chat": ChatRequest,
    "completions": CompletionsRequest,
    "responses": ResponsesRequest,
    "messages": AnthropicRequest,
    "tokenize": TokenizeRequest,
}
"""The model of each endpoint's requests."""


def accepted(endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a body that an engine is given; null is as absent.

    Raises:
        InvalidRequestError: A field is not listed or out of its bounds; names it.
    """
    try:
        request = REQUESTS[endpoint].model_validate(body)
    except ValidationError as error:
        raise refusal(error) from None
    return request.model_dump(by_alias=True, exclude_unset=True)

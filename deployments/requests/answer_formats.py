"""What an answer must look like."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scalesim.deployments.requests.chat_messages import ParticipantName
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.values import JsonObject, together


class JsonSchema(RequestModel):
    """A named schema."""

    name: ParticipantName
    description: str = ""
    schema_: JsonObject = Field(alias="schema")
    strict: bool = False


class ResponseFormat(RequestModel):
    """Format of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise together("json_schema", "is for type json_schema, which needs it")
        return self

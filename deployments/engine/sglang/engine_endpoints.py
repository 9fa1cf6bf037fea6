"""SGLang's own endpoints as we call them: checks off the event loop, one kind of answer.

What each is given was accepted by `scalesim.deployments.requests`, so nothing of SGLang's that
reaches inside an engine can be set. Each has `request_model`, `check` and `answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from copy import copy
from typing import Any, Protocol, cast

import orjson
from pydantic import BaseModel
from sglang.srt.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from sglang.srt.entrypoints.anthropic.serving import AnthropicServing
from sglang.srt.entrypoints.openai import protocol
from sglang.srt.entrypoints.openai.serving_chat import OpenAIServingChat
from sglang.srt.entrypoints.openai.serving_completions import OpenAIServingCompletion
from sglang.srt.entrypoints.openai.serving_responses import OpenAIServingResponses
from sglang.srt.entrypoints.openai.serving_tokenize import OpenAIServingTokenize
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from scalesim.deployments.calls import Endpoint
from scalesim.deployments.engine.flags import in_our_names
from scalesim.errors import InvalidRequestError

JSON = "application/json"
EVENTS = "text/event-stream"


class EngineEndpoint(Protocol):
    """One endpoint."""

    request_model: type[BaseModel]
    """SGLang's own model of a body."""

    async def check(self, request: Any) -> None:
        """Check a request as SGLang does, off the event loop where that takes long.

        Raises:
            InvalidRequestError: It cannot be served.
        """

    async def answer(self, request: Any) -> BaseModel | Response:
        """Return SGLang's answer: whole, a stream, or an error in a response."""


def servings(manager: Any, template: Any) -> dict[Endpoint, EngineEndpoint]:
    """Return every endpoint over one tokenizer manager and its chat template."""
    chat = ChatEndpoint(manager, template)
    return {
        "chat": chat,
        "completions": CompletionsEndpoint(manager, template),
        "responses": ResponsesEndpoint(manager, template, enable_prompt_tokens_details=True),
        "messages": MessagesEndpoint(chat),
        "tokenize": TokenizeEndpoint(manager, template),
    }


class _Rendering:
    """Mixed into SGLang's endpoints: a body that no prompt can be made of is the caller's error.

    SGLang checks a request on the event loop, schemas of tools for seconds; here `check` does.
    """

    checked: str
    """Field that what SGLang itself checks is about."""

    def _validate_request(self, request: Any) -> None:
        return None

    async def check(self, request: Any) -> None:
        validate = super()._validate_request  # type: ignore[misc]
        many = bool(getattr(request, "tools", None))
        fault = await asyncio.to_thread(validate, request) if many else validate(request)
        if fault:
            raise InvalidRequestError(f"{self.checked}: {in_our_names(fault)}", self.checked)

    async def answer(self, request: Any) -> BaseModel | Response:
        answer = await self.handle_request(request, None)  # type: ignore[attr-defined]
        return cast("BaseModel | Response", answer)

    def _convert_to_internal_request(self, *args: Any) -> Any:
        try:
            return super()._convert_to_internal_request(*args)  # type: ignore[misc]
        except Exception as error:
            raise ValueError(_template_fault(error)) from error


class ChatEndpoint(_Rendering, OpenAIServingChat):  # type: ignore[misc]
    """OpenAI's chat completions."""

    request_model = protocol.ChatCompletionRequest
    checked = "tools"


class CompletionsEndpoint(_Rendering, OpenAIServingCompletion):  # type: ignore[misc]
    """OpenAI's text completions."""

    request_model = protocol.CompletionRequest
    checked = "prompt"


class ResponsesEndpoint(OpenAIServingResponses):  # type: ignore[misc]
    """OpenAI's responses."""

    request_model = protocol.ResponsesRequest

    async def check(self, request: Any) -> None:
        return None  # with the rest of it, in `_make_request`

    async def answer(self, request: Any) -> BaseModel | Response:
        answer: Any = await self.create_responses(request, None)
        if isinstance(answer, AsyncGenerator):
            return StreamingResponse(answer, media_type=EVENTS)
        return cast("BaseModel | Response", answer)

    async def _make_request(self, *args: Any, **options: Any) -> Any:
        make = super()._make_request

        def work() -> Any:
            try:
                return asyncio.run(make(*args, **options))  # it awaits nothing of this loop
            except Exception as error:
                raise ValueError(_template_fault(error)) from error

        return await asyncio.to_thread(work)

    def _validate_model(self, model: str | None) -> None:
        return None  # it was resolved before


class MessagesEndpoint(AnthropicServing):  # type: ignore[misc]
    """Anthropic's messages, answered by the endpoint of chats."""

    request_model = AnthropicMessagesRequest

    async def check(self, request: Any) -> None:
        try:
            chat = self._as_chat(request)
        except ValueError as error:
            raise InvalidRequestError(f"messages: {in_our_names(str(error))}", "messages") from None
        await self.openai_serving_chat.check(chat)

    async def answer(self, request: Any) -> BaseModel | Response:
        chat = self.openai_serving_chat
        try:
            internal, asked = await asyncio.to_thread(
                chat._convert_to_internal_request, self._as_chat(request), None
            )
            if request.stream:
                watched, serving = _WatchedChat(chat), copy(self)
                serving.openai_serving_chat = watched
                events = serving._generate_anthropic_stream(internal, asked, request, None)
                return StreamingResponse(watched.saying_why(events), media_type=EVENTS)
            answer = await chat._handle_non_streaming_request(internal, asked, None)
        except (ValueError, HTTPException) as error:
            answer = chat.create_error_response(str(getattr(error, "detail", error)))
        if not isinstance(answer, protocol.ChatCompletionResponse):
            return cast("BaseModel | Response", answer)
        message = self._convert_response(answer)
        stopped_by = answer.choices[0].matched_stop
        if isinstance(stopped_by, str):
            message.stop_reason, message.stop_sequence = "stop_sequence", stopped_by
        return Response(orjson.dumps(message.model_dump(exclude_none=True)), media_type=JSON)

    def _as_chat(self, request: Any) -> Any:
        chat = self._convert_to_chat_completion_request(request)
        # As Anthropic does; a chat of OpenAI's would have to ask for it.
        chat.continue_final_message = request.messages[-1].role == "assistant"
        return chat


class _WatchedChat:
    """A chat endpoint for one stream of Anthropic's events.

    SGLang does not say in them that a stop sequence ended the answer.
    """

    def __init__(self, chat: Any) -> None:
        self._chat = chat
        self._stopped_by: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chat, name)

    async def _generate_chat_stream(self, *args: Any) -> AsyncGenerator[str, None]:
        async with aclosing(self._chat._generate_chat_stream(*args)) as lines:
            async for line in lines:
                if '"matched_stop":"' in line:  # within a text its quotes are escaped
                    chunk = orjson.loads(line.removeprefix("data: "))
                    self._stopped_by = chunk["choices"][0]["matched_stop"]
                yield line

    async def saying_why(self, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """Yield events, the one before the last with the stop sequence that ended the answer."""
        async with aclosing(events):
            async for event in events:
                if self._stopped_by is not None and event.startswith("event: message_delta"):
                    head, _, data = event.partition("data: ")
                    said = orjson.loads(data)
                    why = {"stop_reason": "stop_sequence", "stop_sequence": self._stopped_by}
                    said["delta"] |= why
                    event = f"{head}data: {orjson.dumps(said).decode()}\n\n"
                yield event


class TokenizeEndpoint(OpenAIServingTokenize):  # type: ignore[misc]
    """Tokens of a text or a chat."""

    request_model = protocol.TokenizeRequest

    async def check(self, request: Any) -> None:
        return None

    async def answer(self, request: Any) -> BaseModel | Response:
        handle = self._handle_non_streaming_request
        # It awaits nothing of this loop, and computes without Python's lock.
        answer = await asyncio.to_thread(lambda: asyncio.run(handle(request, request, None)))
        return cast("BaseModel | Response", answer)

    def _tokenize_chat_request(self, request: Any) -> Any:
        try:
            return super()._tokenize_chat_request(request)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(_template_fault(error)) from error


def _template_fault(error: Exception) -> str:
    return f"the model's chat template cannot take this request ({error}): change it"

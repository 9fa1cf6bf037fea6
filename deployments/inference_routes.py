"""Routes for inference: OpenAI's and Anthropic's, with identity, a replica and a count of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from scalesim import headers
from scalesim.deployments.calls import Call, Endpoint
from scalesim.deployments.carried_hints import CarriedHints
from scalesim.deployments.context_length import ContextLength
from scalesim.deployments.embeddings import Embeddings
from scalesim.deployments.hint_routes import Reader
from scalesim.deployments.ingress_metrics import IngressMetrics
from scalesim.deployments.middleware import holder_of, read_body, while_connected
from scalesim.deployments.model_names import ModelNames
from scalesim.deployments.replica_client import ReplicaClient
from scalesim.deployments.request_identity import RequestIdentity, resolve
from scalesim.deployments.request_log import RequestLog
from scalesim.deployments.requests import accepted, hint_document, kv_hints
from scalesim.deployments.trace_recorder import TraceRecorder
from scalesim.deployments.tracing import request_span
from scalesim.errors import ScaleSimError
from scalesim.identity import agent_key, cache_salt

_CREATED = int(time.time())


class InferenceParts(NamedTuple):
    """What inference is served by.

    Attributes:
        names: Names of models.
        replicas: The replicas.
        context: How much fits.
        embeddings: Who makes them.
        metrics: Counts requests.
        log: Tells of those that fail.
        trace: Notes them.
        reader: Reads the hints in them.
        hints: Hands those on.
        max_body_bytes: Largest body of a request.
    """

    names: ModelNames
    replicas: ReplicaClient
    context: ContextLength
    embeddings: Embeddings
    metrics: IngressMetrics
    log: RequestLog
    trace: TraceRecorder
    reader: Reader
    hints: CarriedHints
    max_body_bytes: int


class InferenceRoutes:
    """Mixed into the ingress, which sets `_serving`."""

    _serving: InferenceParts

    async def chat(self, request: Request) -> Response:
        """Answer OpenAI's chat completions.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            ContextLengthError: Prompt and answer do not fit the model.
            UnknownModelError: The model is not served.
            PermissionDeniedError: The key is not for the simulation.
            QuotaExceededError: The key has as many requests in flight as it may.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            SuspectRequestError: An engine was lost because of this request.
            ReplicaUnavailableError: All replicas are busy or away, or it took too long.
            AnswerAbortedError: The engine gave the answer up.
            ClientGoneError: The client closed its connection.
        """
        return await self._infer(request, "chat")

    async def completions(self, request: Request) -> Response:
        """Answer OpenAI's text completions.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            ContextLengthError: Prompt and answer do not fit the model.
            UnknownModelError: The model is not served.
            PermissionDeniedError: The key is not for the simulation.
            QuotaExceededError: The key has as many requests in flight as it may.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            SuspectRequestError: An engine was lost because of this request.
            ReplicaUnavailableError: All replicas are busy or away, or it took too long.
            AnswerAbortedError: The engine gave the answer up.
            ClientGoneError: The client closed its connection.
        """
        return await self._infer(request, "completions")

    async def responses(self, request: Request) -> Response:
        """Answer OpenAI's responses; none is kept, so every request brings its whole input.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            ContextLengthError: Prompt and answer do not fit the model.
            UnknownModelError: The model is not served.
            PermissionDeniedError: The key is not for the simulation.
            QuotaExceededError: The key has as many requests in flight as it may.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            SuspectRequestError: An engine was lost because of this request.
            ReplicaUnavailableError: All replicas are busy or away, or it took too long.
            AnswerAbortedError: The engine gave the answer up.
            ClientGoneError: The client closed its connection.
        """
        return await self._infer(request, "responses")

    async def messages(self, request: Request) -> Response:
        """Answer Anthropic's messages.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            ContextLengthError: Prompt and answer do not fit the model.
            UnknownModelError: The model is not served.
            PermissionDeniedError: The key is not for the simulation.
            QuotaExceededError: The key has as many requests in flight as it may.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            SuspectRequestError: An engine was lost because of this request.
            ReplicaUnavailableError: All replicas are busy or away, or it took too long.
            AnswerAbortedError: The engine gave the answer up.
            ClientGoneError: The client closed its connection.
        """
        return await self._infer(request, "messages")

    async def tokenize(self, request: Request) -> Response:
        """Return the tokens of a text or a chat, as SGLang and vLLM do.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            UnknownModelError: The model is not served.
            PermissionDeniedError: The key is not for the simulation.
            QuotaExceededError: The key has as many requests in flight as it may.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            ReplicaUnavailableError: All replicas are busy or away, or it took too long.
            ClientGoneError: The client closed its connection.
        """
        with holder_of(request).one_request():
            _, call = await self._call(request, "tokenize")
            answer = await while_connected(request, self._serving.replicas.begin(call))
        return Response(answer.first, answer.head.status, None, answer.head.media_type)

    async def embeddings(self, request: Request) -> Response:
        """Forward OpenAI's embeddings to the server that `ingress.embeddings` names.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            NotServedError: No server is named.
            QuotaExceededError: The key has as many requests in flight as it may.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            ReplicaUnavailableError: The server does not answer.
            ClientGoneError: The client closed its connection.
        """
        with holder_of(request).one_request():
            body = await read_body(request, self._serving.max_body_bytes)
            answer = await while_connected(request, self._serving.embeddings.answer(body))
        return Response(answer.body, answer.status, None, "application/json")

    async def models(self, request: Request) -> Response:
        """List the models as OpenAI does; `context_length` is null until an engine was asked."""
        names = await self._serving.names.all()
        return JSONResponse({"object": "list", "data": [await self._card(name) for name in names]})

    async def model(self, request: Request) -> Response:
        """Return one model as OpenAI does, under the name that it is asked by.

        Raises:
            UnknownModelError: Nothing is served under that name.
        """
        asked = request.path_params["model"]
        await self._serving.names.of(asked)
        return JSONResponse(await self._card(asked))

    async def _card(self, name: str) -> dict[str, Any]:
        card: dict[str, Any] = {"id": name, "object": "model", "created": _CREATED}
        return card | {
            "owned_by": "scalesim",
            "context_length": await self._serving.context.known(),
        }

    async def _infer(self, request: Request, endpoint: Endpoint) -> Response:
        started = time.perf_counter()
        serving = self._serving
        with ExitStack() as until_answered:
            until_answered.enter_context(holder_of(request).one_request())
            span = until_answered.enter_context(request_span(request, request.scope["path"]))
            who, call = await self._call(request, endpoint)
            with serving.metrics.waiting.track_inprogress():
                answer = await while_connected(request, serving.replicas.begin(call))
            head, name = answer.head, who.simulation
            first_s = time.perf_counter() - started
            serving.metrics.answered(name, head.found, head.status, first_s)
            span.answered(head.status, head.found.residency, head.replica)
            more = {
                headers.RESIDENCY: head.found.residency,
                headers.REPLICA: head.replica,
                headers.CACHED_TOKENS: str(head.found),
            }

            def ended(tokens: int) -> None:
                seconds = time.perf_counter() - started
                serving.metrics.ended(name, tokens, seconds)
                span.ended(tokens)
                serving.trace.emit(name, who.agent, head.found, tokens, seconds)

            if head.media_type != "text/event-stream":
                ended(head.output_tokens)
                return Response(answer.first, head.status, more, head.media_type)

            def streamed(tokens: int) -> None:
                serving.metrics.streamed(tokens, time.perf_counter() - started - first_s)
                ended(tokens)

            def broke(error: ScaleSimError) -> None:
                span.broke(error)
                serving.log.failed(request, request.scope["path"], error.status, error.code)

            pieces = serving.replicas.relay(answer, streamed, broke)
            until_sent = until_answered.pop_all()
            until_sent.callback(serving.replicas.close, answer)
            return HeldStream(pieces, head.status, more, head.media_type, close=until_sent.close)

    async def _call(self, request: Request, endpoint: Endpoint) -> tuple[RequestIdentity, Call]:
        """Return the caller's identity and the call for a replica."""
        holder = holder_of(request)
        received = await read_body(request, self._serving.max_body_bytes)
        body = accepted(endpoint, received)
        who = resolve(request.headers, received, holder.default_simulation)
        request.state.who = who
        holder.require(who.simulation)
        model = await self._serving.names.of(body.get("model", ""))
        body["model"] = model if ":" in model or not who.adapter else f"{model}:{who.adapter}"
        document = kv_hints.payload(received, kv_hints.HINTS_ACTION)
        if document.where:
            read = partial(hint_document.known, under=document.where)
            known = await self._serving.reader.read_apart(read, who.simulation, document.fields)
            self._serving.hints.hand_on(known, holder.name)
        key, salt = agent_key(who.simulation, who.agent), cache_salt(who.simulation)
        return who, Call(key, endpoint, body, salt, who.next_use, step=who.step)


class HeldStream(StreamingResponse):
    """A stream that releases something once its sending ends, however it ends, begun or not.

    Args:
        args: Arguments of a `StreamingResponse`.
        close: Lets go.
    """

    def __init__(self, *args: Any, close: Callable[[], None]) -> None:
        super().__init__(*args)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; called by Starlette."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()

"""The HTTP ingress: OpenAI's endpoints for inference, ours for distances."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ray import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from scalesim import headers
from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.deployments import hint_routes, placement_view
from scalesim.deployments.calls import Call, Endpoint
from scalesim.deployments.cluster import keep_serve_on_loopback
from scalesim.deployments.context_length import ContextLength
from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.deployments.ingress_metrics import IngressMetrics, exposition
from scalesim.deployments.listener import Listener
from scalesim.deployments.middleware import (
    check_binding,
    guarded,
    no_route,
    read_body,
    while_connected,
)
from scalesim.deployments.peers import Peers, peers_in_serve
from scalesim.deployments.remote import RemoteController
from scalesim.deployments.replica_client import ReplicaClient
from scalesim.deployments.request_identity import decoded, resolve
from scalesim.deployments.requests import accepted
from scalesim.errors import ReplicaUnavailableError, ScaleSimError, UnknownModelError
from scalesim.identity import (
    DEFAULT_SIMULATION,
    agent_key,
    cache_salt,
    check_agent,
    check_simulation,
)
from scalesim.settings import StackSettings

_SCRAPE_S = 2.0
"""Longest a scrape waits for the controller: one that hangs must not hide our own metrics."""

_KEY_HOLDER = "ingress"
"""Holder of the one API key there is."""

ROUTES = (
    ("POST", "/v1/chat/completions", "chat"),
    ("POST", "/v1/completions", "completions"),
    ("GET", "/v1/models", "models"),
    ("DELETE", "/v1/simulations/{simulation}", "end"),
    ("POST", "/v1/simulations/{simulation}/distances", "distances"),
    ("POST", "/v1/simulations/{simulation}/agents", "agents"),
    ("GET", "/v1/simulations/{simulation}/agents/{agent:path}", "agent"),
    ("GET", "/v1/status", "status"),
    ("GET", "/v1/trace", "trace"),
    ("GET", "/health", "health"),
    ("GET", "/metrics", "metrics"),
)
"""Everything that answers HTTP: method, path, method of `Ingress`."""


@serve.deployment
@serve.ingress()
class Ingress:
    """Authenticates, resolves identity, routes to the replica that holds the agent's state.

    Args:
        settings: The whole stack's settings.
        replicas: Handle of the `Replica` deployment.
        address: Name of the `Address` it serves by itself; None where Serve's proxies listen.
    """

    async def __init__(  # type: ignore[misc]
        self, settings: StackSettings, replicas: Any, address: str | None = None
    ) -> None:
        check_binding(settings)
        keep_serve_on_loopback()
        self._settings = settings.ingress
        self._model = settings.engine.served_model_name
        models = settings.engine.models
        self._registry = ModelRegistry(models) if models is not None else None
        self._loops: list[BackgroundLoop] = []
        self._metrics = IngressMetrics(self._loops)
        self._peers = Peers(
            serve.get_replica_context().replica_id.unique_id,
            self._metrics,
            self._steps,
            peers_in_serve(self._settings.processes or 1, "among_peers"),
        )
        self._trace_recorder = self._peers.recorder
        self._loops += self._peers.loops
        self._replica_client = ReplicaClient(
            replicas, self._settings.request_timeout_s, self._metrics, self._peers.suspects
        )
        self._loops.append(BackgroundLoop("rotation", self._replica_client.ask))
        self._context = ContextLength(replicas)
        self._created = int(time.time())
        self._controller: RemoteController | None = None
        if settings.engine.arm == "scalesim":
            from scalesim.controller.actor import connect

            self._controller = RemoteController(
                connect(settings.controller), settings.controller, holder=_KEY_HOLDER
            )
            self._loops.append(BackgroundLoop("placements", self._follow_placements))
        self._reader = hint_routes.Reader()
        self._listener: Listener | None = None
        if address is not None:
            app = self.__serve_build_asgi_app__()
            self._listener = Listener(app, address, settings.ingress)

    def check_health(self) -> None:
        """Raise where it stopped listening; called by Serve, which then starts another."""
        if self._listener is not None and not self._listener.is_up:
            raise ReplicaUnavailableError("the ingress does not listen any more: its log says why")

    async def __del__(self) -> None:
        """Answer what is in flight; Serve, which calls this, knows nothing of it."""
        if len(self._trace_recorder):
            await self._peers.collect()
        self._trace_recorder.close()
        self._reader.close()
        if self._listener is not None:
            await self._listener.close()

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return the app with its routes; called by Serve after the constructor."""
        key = self._settings.api_key.get_secret_value()
        count = self._metrics.refused
        return Starlette(
            routes=[
                Route(path, guarded(getattr(self, name), key, count), methods=[method])
                for method, path, name in ROUTES
            ],
            exception_handlers={HTTPException: no_route},
        )

    # ---- inference ----

    async def chat(self, request: Request) -> Response:
        """Answer OpenAI's chat completions.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            ContextLengthError: Prompt and answer do not fit the model.
            UnknownModelError: The model is not served.
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
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            SuspectRequestError: An engine was lost because of this request.
            ReplicaUnavailableError: All replicas are busy or away, or it took too long.
            AnswerAbortedError: The engine gave the answer up.
            ClientGoneError: The client closed its connection.
        """
        return await self._infer(request, "completions")

    async def models(self, request: Request) -> Response:
        """List the models as OpenAI does; `context_length` is null until an engine was asked."""
        names = [self._model]
        if self._registry is not None:
            names += [model.name for model in await asyncio.to_thread(self._registry.all)]
        more: dict[str, Any] = {"object": "model", "created": self._created, "owned_by": "scalesim"}
        more |= {"context_length": await self._context.known()}
        return JSONResponse({"object": "list", "data": [{"id": name, **more} for name in names]})

    async def _infer(self, request: Request, endpoint: Endpoint) -> Response:
        started = time.perf_counter()
        received = await read_body(request, self._settings.max_body_bytes)
        body = accepted(endpoint, received)
        self._check_model(body)
        who = resolve(request.headers, received)
        key = agent_key(who.simulation, who.agent)
        call = Call(key, endpoint, body, cache_salt(who.simulation), who.next_use)
        with self._metrics.waiting.track_inprogress():
            answer = await while_connected(request, self._replica_client.begin(call))
        head, name = answer.head, who.simulation
        self._metrics.answered(name, head.found, head.status, time.perf_counter() - started)
        more = {
            headers.RESIDENCY: head.found.residency,
            headers.REPLICA: head.replica,
            headers.CACHED_TOKENS: str(head.found),
        }

        def ended(tokens: int) -> None:
            seconds = time.perf_counter() - started
            self._metrics.ended(name, tokens, seconds)
            self._trace_recorder.emit(name, who.agent, head.found, tokens, seconds)

        if head.media_type != "text/event-stream":
            ended(head.output_tokens)
            return Response(answer.first, head.status, more, head.media_type)
        pieces = self._replica_client.relay(answer, ended)
        return _Stream(
            pieces,
            head.status,
            more,
            head.media_type,
            close=lambda: self._replica_client.close(answer),
        )

    def _check_model(self, body: dict[str, Any]) -> None:
        if self._registry is not None:
            return  # the replica knows what fits its engine
        asked = body.get("model", self._model)
        if asked != self._model and not str(asked).startswith(f"{self._model}:"):
            raise UnknownModelError(
                f"model {str(asked)[:80]!r} is not served here: use {self._model!r}", "model"
            )

    # ---- simulations ----

    async def distances(self, request: Request) -> Response:
        """Take invocation distances of many agents; answers `{"epoch", "accepted", "ignored"}`.

        Raises:
            InvalidRequestError: A field is missing or of the wrong type; names it.
            StaleEpochError: The epoch is older than the newest one of the simulation.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            UnavailableError: Too many simulations are alive.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        body = await read_body(request, self._settings.max_body_bytes)
        report = await self._reader.read(hint_routes.distances, _simulation(request), body)
        ack = await self._steering().report(*report)
        return JSONResponse(ack._asdict())

    async def agents(self, request: Request) -> Response:
        """Pin, unpin or end agents; answers `{}`.

        Raises:
            InvalidRequestError: A field is not a list of agent ids; names it.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            UnavailableError: Too many simulations are alive.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        body = await read_body(request, self._settings.max_body_bytes)
        changes = await self._reader.read(hint_routes.lifecycle, _simulation(request), body)
        await self._steering().lifecycle(*changes)
        return JSONResponse({})

    async def end(self, request: Request) -> Response:
        """End a simulation: its distances and pins go, its steps may start over; answers `{}`.

        Raises:
            InvalidRequestError: The name is not one of a simulation.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        await self._steering().end(_simulation(request))
        return JSONResponse({})

    async def agent(self, request: Request) -> Response:
        """Return what is known of one agent: distance, pin, replica and tiers of its payloads.

        Raises:
            InvalidRequestError: The id is not valid, or the agent is unknown.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        decoded(request.scope["raw_path"].decode("latin-1"), "agent")
        agent = check_agent(request.path_params["agent"])
        return JSONResponse(await self._steering().agent(_simulation(request), agent))

    def _steering(self) -> RemoteController:
        if self._controller is None:
            raise ReplicaUnavailableError(
                "this stack runs without a controller (arm stock or hicache): start it with arm "
                "'scalesim' to use distances"
            )
        return self._controller

    # ---- operation ----

    async def status(self, request: Request) -> Response:
        """Return the controller's state as `scalesim status` shows it.

        Raises:
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        return JSONResponse(await self._steering().status())

    async def trace(self, request: Request) -> Response:
        """Stream the requests of `?simulation=NAME`, one JSON line each, as they are answered.

        Raises:
            InvalidRequestError: The name is not one of a simulation.
        """
        named = request.query_params.get("simulation", DEFAULT_SIMULATION)
        lines = self._trace_recorder.listen(check_simulation(named))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    async def health(self, request: Request) -> Response:
        """Answer `{"status": "ok"}` while the process lives."""
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Return the ingress' metrics, and the controller's where it has no port of its own."""
        text = exposition(await self._peers.figures())
        if self._controller is not None:
            with suppress(ScaleSimError, TimeoutError):
                async with asyncio.timeout(_SCRAPE_S):
                    text += await self._controller.metrics()
        return Response(text, media_type="text/plain; version=0.0.4")

    async def among_peers(self, question: str, *more: Any) -> Any:
        """Answer another process of the ingress; see `Peers.answer`."""
        return self._peers.answer(question, *more)

    async def _steps(self) -> dict[str, int]:
        """Return the step of each simulation; none where nobody counts them."""
        if self._controller is None:
            return {}
        known = (await self._controller.status())["simulations"]
        return {name: row["epoch"] for name, row in known.items()}

    async def _follow_placements(self) -> None:
        assert self._controller is not None
        # Through the module: Serve copies this class into the process with all that it names.
        view = placement_view.VIEW
        view.apply(await self._controller.placements(view.version))


class _Stream(StreamingResponse):
    """A stream whose source is closed however its sending ends, begun or not."""

    def __init__(self, *args: Any, close: Callable[[], None]) -> None:
        super().__init__(*args)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


def _simulation(request: Request) -> str:
    return check_simulation(request.path_params["simulation"])

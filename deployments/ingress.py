"""The HTTP ingress: endpoints for inference, ours for distances."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from ray import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.deployments import carried_hints, hint_routes, placement_view
from scalesim.deployments.api_keys import ApiKeys
from scalesim.deployments.cluster import keep_serve_on_loopback
from scalesim.deployments.context_length import ContextLength
from scalesim.deployments.embeddings import Embeddings
from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.deployments.inference_routes import HeldStream, InferenceParts, InferenceRoutes
from scalesim.deployments.ingress_metrics import IngressMetrics, exposition
from scalesim.deployments.listener import Listener
from scalesim.deployments.middleware import (
    UNKNOWN_URL,
    check_binding,
    cross_origin,
    guarded,
    holder_of,
    no_route,
    read_body,
)
from scalesim.deployments.model_names import ModelNames
from scalesim.deployments.peers import Peers, peers_in_serve
from scalesim.deployments.remote import RemoteController
from scalesim.deployments.replica_client import ReplicaClient
from scalesim.deployments.request_identity import decoded
from scalesim.deployments.request_log import RequestLog
from scalesim.deployments.requests import hint_document
from scalesim.errors import ReplicaUnavailableError, ScaleSimError
from scalesim.identity import check_agent, check_simulation
from scalesim.settings import StackSettings

_SCRAPE_S = 2.0
"""Longest a scrape waits for the controller: one that hangs must not hide our own metrics."""

_JSON_LINES = "application/x-ndjson"

ROUTES = (
    ("POST", "/v1/chat/completions", "chat"),
    ("POST", "/v1/completions", "completions"),
    ("POST", "/v1/responses", "responses"),
    ("POST", "/v1/messages", "messages"),
    ("POST", "/v1/embeddings", "embeddings"),
    ("POST", "/tokenize", "tokenize"),
    ("GET", "/v1/models", "models"),
    ("GET", "/v1/models/{model:path}", "model"),
    ("DELETE", "/v1/simulations/{simulation}", "end"),
    ("POST", "/v1/simulations/{simulation}/distances", "distances"),
    ("POST", "/v1/simulations/{simulation}/hints", "hints"),
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
class Ingress(InferenceRoutes):
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
        models = settings.engine.models
        self._loops: list[BackgroundLoop] = []
        self._keys = ApiKeys(self._settings)
        self._metrics = IngressMetrics(self._loops)
        self._log = RequestLog(settings.logs)
        self._peers = Peers(
            serve.get_replica_context().replica_id.unique_id,
            self._metrics,
            self._steps,
            peers_in_serve(self._settings.processes or 1, "among_peers"),
        )
        self._trace_recorder = self._peers.recorder
        self._loops += self._peers.loops
        client = ReplicaClient(
            replicas,
            self._settings.request_timeout_s,
            self._metrics,
            self._peers.suspects,
            self._peers.spread,
        )
        self._loops.append(BackgroundLoop("rotation", client.ask))
        self._controller: RemoteController | None = None
        if settings.engine.arm == "scalesim":
            from scalesim.controller.actor import connect

            find = partial(connect, settings.controller)
            self._controller = RemoteController(find, settings.controller)
            self._loops.append(BackgroundLoop("placements", self._follow_placements))
        self._reader = hint_routes.Reader()
        self._carried_hints = carried_hints.CarriedHints(
            self._controller, self._metrics.hints_dropped.inc
        )
        self._serving = InferenceParts(
            names=ModelNames(
                settings.engine.served_model_name,
                self._settings.model_aliases,
                ModelRegistry(models) if models is not None else None,
            ),
            replicas=client,
            context=ContextLength(replicas),
            embeddings=Embeddings(self._settings.embeddings),
            metrics=self._metrics,
            log=self._log,
            trace=self._trace_recorder,
            reader=self._reader,
            hints=self._carried_hints,
            max_body_bytes=self._settings.max_body_bytes,
        )
        self._listener: Listener | None = None
        if address is not None:
            app = self.__serve_build_asgi_app__()
            self._listener = Listener(app, address, settings.ingress)

    def check_health(self) -> None:
        """Raise where it stopped listening; called by Serve, which then starts another."""
        if self._listener is not None and not self._listener.is_up:
            raise ReplicaUnavailableError("the ingress does not listen any more: its log says why")

    async def __del__(self) -> None:
        """Finish requests in flight, of which Serve, which calls this, knows nothing."""
        if len(self._trace_recorder):
            await self._peers.collect()
        self._trace_recorder.close()
        await self._carried_hints.close()
        self._reader.close()
        await self._serving.embeddings.close()
        if self._listener is not None:
            await self._listener.close()

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return the app with its routes; called by Serve after the constructor."""
        return Starlette(
            routes=[
                Route(
                    path,
                    guarded(getattr(self, name), self._keys, partial(self._refused, path)),
                    methods=[method],
                )
                for method, path, name in ROUTES
            ],
            middleware=cross_origin(self._settings.cors_origins),
            exception_handlers={HTTPException: self._unknown},
        )

    async def _unknown(self, request: Request, error: Exception) -> Response:
        answer = await no_route(request, error)
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            self._log.failed(request, "", answer.status_code, UNKNOWN_URL)
        return answer

    def _refused(self, path: str, request: Request, error: ScaleSimError) -> None:
        self._metrics.refused(error)
        self._log.failed(request, path, error.status, error.code)

    async def distances(self, request: Request) -> Response:
        """Take invocation distances of many agents; answers `{"epoch", "accepted", "ignored"}`.

        Raises:
            InvalidRequestError: A field is missing or of the wrong type; names it.
            StaleEpochError: The epoch is older than the newest one of the simulation.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            PermissionDeniedError: The key is not for the simulation.
            UnavailableError: Too many simulations are alive.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        body = await read_body(request, self._settings.max_body_bytes)
        report = await self._reader.read(hint_routes.distances, _simulation(request), body)
        ack = await self._steering().report(*report, holder=holder_of(request).name)
        return JSONResponse(ack._asdict())

    async def hints(self, request: Request) -> Response:
        """Take what a simulation knows at a step; answers `{"epoch", "accepted", "ignored"}`.

        Raises:
            InvalidRequestError: A field is unknown or out of bounds; names it.
            StaleEpochError: The epoch is older than the newest one of the simulation.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            PermissionDeniedError: The key is not for the simulation.
            UnavailableError: Too many simulations are alive.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        body = await read_body(request, self._settings.max_body_bytes)
        known = await self._reader.read_apart(hint_document.known, _simulation(request), body)
        ack = await carried_hints.report(self._steering(), known, holder_of(request).name)
        return JSONResponse(ack._asdict())

    async def agents(self, request: Request) -> Response:
        """Pin, unpin or end agents; answers `{}`.

        Raises:
            InvalidRequestError: A field is not a list of agent ids; names it.
            BodyTooLargeError: The body is over `ingress.max_body_bytes`.
            PermissionDeniedError: The key is not for the simulation.
            UnavailableError: Too many simulations are alive.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        body = await read_body(request, self._settings.max_body_bytes)
        changes = await self._reader.read(hint_routes.lifecycle, _simulation(request), body)
        await self._steering().lifecycle(*changes, holder=holder_of(request).name)
        return JSONResponse({})

    async def end(self, request: Request) -> Response:
        """End a simulation: its distances and pins go, its steps may start over; answers `{}`.

        Raises:
            InvalidRequestError: The name is not one of a simulation.
            PermissionDeniedError: The key is not for the simulation.
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        await self._steering().end(_simulation(request))
        return JSONResponse({})

    async def agent(self, request: Request) -> Response:
        """Return one agent's distance, pin and replica, and the tiers of its payloads.

        Raises:
            InvalidRequestError: The id is not valid, or the agent is unknown.
            PermissionDeniedError: The key is not for the simulation.
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

    async def status(self, request: Request) -> Response:
        """Return the controller's state as `scalesim status` shows it, of simulations of the key.

        Raises:
            ControllerUnavailableError: The controller is away; it restarts by itself.
            ReplicaUnavailableError: The stack runs without a controller.
        """
        return JSONResponse(holder_of(request).what_it_may_see(await self._steering().status()))

    async def trace(self, request: Request) -> Response:
        """Stream the requests of `?simulation=NAME`, one JSON line each, as they are answered.

        Raises:
            InvalidRequestError: The name is not one of a simulation.
            PermissionDeniedError: The key is not for the simulation.
            QuotaExceededError: The key has as many traces as it may have requests in flight.
        """
        holder = holder_of(request)
        named = request.query_params.get("simulation", holder.default_simulation)
        simulation = holder.require(check_simulation(named))
        if request.method == "HEAD":
            return Response(media_type=_JSON_LINES)  # there is no end to wait for
        with ExitStack() as until_sent:
            until_sent.enter_context(holder.one_request("traces"))
            lines = self._trace_recorder.listen(simulation)
            close = until_sent.pop_all().close
        return HeldStream(lines, 200, None, _JSON_LINES, close=close)

    async def health(self, request: Request) -> Response:
        """Answer `{"status": "ok"}` while the process lives."""
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Return the ingress' metrics, and the controller's where it has no port of its own.

        Raises:
            PermissionDeniedError: The key is not the operator's.
        """
        holder_of(request).require_operator()
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
        """Return the step of each simulation; none where no controller counts them."""
        if self._controller is None:
            return {}
        known = (await self._controller.status())["simulations"]
        return {name: row["epoch"] for name, row in known.items()}

    async def _follow_placements(self) -> None:
        assert self._controller is not None
        # Through the module: Serve copies this class into the process with all that it names.
        view = placement_view.VIEW
        view.apply(await self._controller.placements(view.version))


def _simulation(request: Request) -> str:
    """Return the simulation of a path, if the key is for it."""
    return holder_of(request).require(check_simulation(request.path_params["simulation"]))

"""The whole stack in one place: Ray, controller, replicas and ingress, started and stopped."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterable
from contextlib import redirect_stdout, suppress
from io import StringIO
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from scalesim.errors import ConfigurationError, ControllerUnavailableError
from scalesim.settings import ControllerSettings, StackSettings

if TYPE_CHECKING:
    from scalesim.controller.catalog.embedded import EmbeddedServer
    from scalesim.deployments.run_folder import RunFolder
    from scalesim.deployments.stack_address import Address

APP, DEPLOYED_APP = "scalesim", "serving"
"""Serve's application of a stack: started by a process of ours; by `serve deploy` or KubeRay."""

_QUIET = {"ray": logging.ERROR, "ray.serve": logging.WARNING, "filelock": logging.WARNING}
"""Log levels of what users would otherwise read at every start."""

SERVING = {
    # Ray's workers run niced by default: engines must not yield to whatever else runs here.
    "RAY_worker_niceness": "0",
    # One thread a process for Serve's code and ours, and no hop between two for every message.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # The ingress calls replicas over their gRPC port, which is open either way and guarded like
    # every port of Ray's; a call costs half of one between actors.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # By default it takes 4 MB and loses what is larger. The ingress bounds bodies by itself.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": "-1",
    # Those calls would take the proxy that is set for the world outside.
    "grpc_proxy": "",
}
"""Environment of every process of a stack's cluster, before it starts."""

_LOGGING = {"enable_access_log": False}
"""A line a request in two processes costs as much as a call between them; metrics count them."""

_LOOK_S = 0.2
_SHUTDOWN_S = 10.0

HEALTH_PERIOD_S = 2.0
"""A process that ended is replaced after at most this."""

HEALTH_TIMEOUT_S = 6.0
"""Serve replaces a process that hangs after three silent questions: 20 s with the period."""


class Stack:
    """A running stack; also a context manager.

    Args:
        settings: What to run.
        folder: Where it keeps what is to go with it; its own, where None.
        cluster: Ray cluster to run on, as HOST:PORT of its head or `auto`; a node of it must be on
            this machine, which the ingress and the controller stay on. None: the one this process
            is connected to, else one of its own.

    Attributes:
        base_url: Where it listens, once started.
        controller: Handle of the controller actor; None in the stock and hicache arms.
        catalog: The embedded catalog server, where this stack started one.
    """

    def __init__(
        self,
        settings: StackSettings,
        folder: RunFolder | None = None,
        cluster: str | None = None,
    ) -> None:
        self.settings = settings
        self._cluster = cluster
        self._joined = False
        self._holder: Any = None
        self._folder = folder
        self.base_url = ""
        self.controller: Any = None
        self._address: Address | None = None
        self._owns_ray = False
        self._owns_serve = False
        self._has_app = False
        self.catalog: EmbeddedServer | None = None

    def start(self) -> Stack:
        """Start everything and return when it answers.

        Raises:
            ConfigurationError: The settings cannot work; nothing is left running.
        """
        from scalesim.deployments.middleware import check_binding

        check_binding(self.settings)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        for name, value in SERVING.items():
            os.environ.setdefault(name, value)
        import ray
        from ray import serve

        from scalesim.deployments import cluster
        from scalesim.deployments.nodes import check_gpus, nodes
        from scalesim.deployments.preflight import check_here
        from scalesim.deployments.run_folder import RAY_FITS, RunFolder
        from scalesim.deployments.stack_address import Address

        if self._folder is None:
            self._folder = RunFolder(RAY_FITS)
        self._folder.guard()

        host, port = self.settings.ingress.host, self.settings.ingress.port
        self._address = Address(host, port)
        for name, level in _QUIET.items():
            logging.getLogger(name).setLevel(level)
        if self._cluster is not None:
            cluster.join(self._cluster, SERVING)
            self._joined = True
            self._holder = cluster.hold(self._cluster)
        elif not ray.is_initialized():
            check_here(self.settings)
            cluster.start(self._folder)
            self._owns_ray = True
        check_gpus(self.settings, nodes(), grows=not self._owns_ray)
        here = serve.status()
        _check_alone(here.applications)
        self._owns_serve = not here.proxies and not here.applications
        if self._owns_serve:
            serve.start(proxy_location="Disabled")  # the ingress listens by itself
        if self.settings.engine.arm == "scalesim":
            from scalesim.controller import actor

            self._ensure_catalog(self._folder)
            self.controller = actor.start(self.settings)
        self._has_app = True
        try:
            serve.run(build_app(self.settings, self._address.name), name=APP, route_prefix="/")
        except RuntimeError as error:
            app = serve.status().applications.get(APP)
            why = reason(each.message for each in app.deployments.values()) if app else ""
            raise ConfigurationError(f"the stack did not start: {why or error}") from error
        host = f"[{host}]" if ":" in host else host
        self.base_url = f"http://{host}:{self._address.port}"

    def _ensure_catalog(self, folder: RunFolder) -> None:
        """Start a private server where the settings name none."""
        if self.settings.catalog.url.get_secret_value():
            return
        from scalesim.controller.catalog.embedded import EmbeddedServer

        self.catalog = EmbeddedServer(self.settings.catalog.data_dir, folder.path)
        self.catalog.start()
        catalog = self.settings.catalog.model_copy(update={"url": SecretStr(self.catalog.url)})
        self.settings = self.settings.model_copy(update={"catalog": catalog})

    def stop(self) -> None:
        """Drain and stop everything this stack started; safe to call twice.

        A Ctrl-C ends the draining. So does the end of Ray's own processes, as where a signal was
        sent to all at once: nothing is left to wait for.
        """
        import ray

        if ray.is_initialized():
            # Ray prints on stdout that actors it was asked to end have ended.
            with redirect_stdout(StringIO()):
                self._stop_ray()
        if self.catalog is not None:
            self.catalog.stop()
            self.catalog = None
        if self._address is not None:
            self._address.close()
            self._address = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _stop_ray(self) -> None:
        from scalesim.deployments import cluster

        draining = threading.Thread(target=self._drain, name="draining", daemon=True)
        draining.start()
        with suppress(KeyboardInterrupt, SystemExit):
            while draining.is_alive() and not (self._knows_ray and cluster.is_broken()):
                draining.join(_LOOK_S)
        if self._knows_ray:
            shutdown = threading.Thread(target=self._leave_ray, name="shutdown", daemon=True)
            shutdown.start()
            shutdown.join(_SHUTDOWN_S)  # it waits long for parts that have gone
            self._owns_ray = self._joined = False

    @property
    def _knows_ray(self) -> bool:
        """Whether this started Ray, or joined a cluster."""
        return self._owns_ray or self._joined

    def _leave_ray(self) -> None:
        import ray

        if self._holder is not None:
            with suppress(ray.exceptions.RayError):
                ray.kill(self._holder)
        ray.shutdown()

    def _drain(self) -> None:
        import ray
        from ray import serve
        from ray.serve.exceptions import RayServeException

        if self._has_app:
            # First by itself: it waits for requests in flight, Serve's shutdown does not.
            with suppress(ray.exceptions.RayError, RayServeException):
                serve.delete(APP)
            self._has_app = False
        if self._owns_serve:
            serve.shutdown()
            self._owns_serve = False
        if self.controller is not None:
            from scalesim.controller import actor

            actor.stop(self.settings.controller)
            self.controller = None

    def __enter__(self) -> Stack:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def build_app(settings: StackSettings, address: str | None = None) -> Any:
    """Return the Serve application of a stack; its controller must run. See `deployments.app`.

    Args:
        settings: The whole stack's settings.
        address: Name of the `Address` on this machine that the ingress serves; None where Serve's
            proxies listen.
    """
    import ray
    from ray.serve.config import RequestRouterConfig

    from scalesim.deployments.ingress import Ingress
    from scalesim.deployments.listener import DRAIN_S
    from scalesim.deployments.nodes import device_of, ingress_processes, nodes
    from scalesim.deployments.replica import Replica

    cluster = nodes()
    node = None if address is None else ray.util.get_node_ip_address()
    processes = ingress_processes(settings, cluster, node)
    engine = settings.engine.model_copy(update={"device": device_of(settings, cluster)})
    limits = settings.ingress.model_copy(update={"processes": processes})
    settings = settings.model_copy(update={"engine": engine, "ingress": limits})
    logs = {"encoding": settings.logs.format.upper(), **_LOGGING}
    resources: dict[str, float] = {"num_cpus": settings.cpus_per_replica}
    if engine.device == "cuda":
        resources["num_gpus"] = engine.tp_size
    replicas = Replica.options(  # type: ignore[attr-defined]
        **scaling(settings),
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=_share(limits.max_queued_requests, processes),
        ray_actor_options=resources,
        graceful_shutdown_timeout_s=DRAIN_S,
        logging_config=logs,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        request_router_config=RequestRouterConfig(
            request_router_class="scalesim.deployments.router.ResidencyRouter",
            request_router_kwargs={"processes": processes},
        ),
    ).bind(settings)
    here = {} if node is None else {f"node:{node}": 0.001}
    ingress = Ingress.options(  # type: ignore[attr-defined]
        num_replicas=processes,
        max_ongoing_requests=limits.max_connections,
        ray_actor_options={"num_cpus": 0, "resources": here},
        graceful_shutdown_timeout_s=DRAIN_S,
        logging_config=logs,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
    )
    return ingress.bind(settings, replicas, address)


def _share(queued: int, processes: int) -> int:
    """Return how many requests each process may queue; -1 is any number."""
    return queued if queued < 0 else -(-queued // processes)


def scaling(settings: StackSettings) -> dict[str, Any]:
    """Return how many engines Serve runs, as its options have it.

    In a manifest the same stands under `deployments`, beside the application's arguments: what is
    changed there scales, and restarts nothing.
    """
    options: dict[str, Any] = {"max_replicas_per_node": settings.engines_per_machine}
    if settings.autoscaling is None:
        return options | {"num_replicas": settings.replicas}
    return options | {"autoscaling_config": settings.autoscaling.model_dump()}


def _check_alone(applications: Collection[str]) -> None:
    """Refuse a second stack: it would take the controller away from the first.

    Raises:
        ConfigurationError: There is one among Serve's applications.
    """
    if APP in applications or DEPLOYED_APP in applications:
        raise ConfigurationError(
            "a stack runs on this Ray cluster already: use that one, or end it (`scalesim down "
            "--address HOST:PORT`) and start again"
        )


def remove(settings: ControllerSettings) -> bool:
    """End what a stack has in the cluster that this process is in; return whether it had anything.

    For one whose own process is gone; other applications of Serve go on.
    """
    from ray import serve

    from scalesim.controller import actor

    served = serve.status().applications
    ours = [name for name in (APP, DEPLOYED_APP) if name in served]
    for name in ours:
        serve.delete(name)
    if ours and len(served) == len(ours):
        serve.shutdown()
    try:
        actor.connect(settings)
    except ControllerUnavailableError:
        return bool(ours)
    actor.stop(settings)
    return True


def reason(messages: Iterable[str]) -> str:
    """Return what Serve says of deployments that failed: the last lines of their tracebacks."""
    return "; ".join(message.strip().splitlines()[-1] for message in messages if message.strip())

"""The Ray cluster of a stack's own: in its folder, on this machine's loopback alone."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scalesim.environment import ray_address_from_env
from scalesim.errors import AuthenticationError, ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from scalesim.deployments.run_folder import RunFolder

OBJECT_STORE_BYTES = 512 * 2**20
"""What a stack sends is smaller than what Ray would put there; its own choice is 30% of memory."""

_HOLDER = "scalesim-holder"

_KNOCK_S = 10.0
"""Longest that the head of a cluster that is to be joined may take to accept a connection."""

NODE_S = 150.0
"""Longest that a node of Ray which is started in here may take until it is there."""

LOOK_S = 0.2
"""Time between two looks whether such a node is there."""

MIN_OPEN_FILES = 1024
"""What an idle stack's largest process has open, several times; every connection is one more."""

_ENVIRONMENT = {
    # Calls inside would take the proxy that is set for the world outside.
    "grpc_proxy": "",
    # Engines read files of models and templates that are in UTF-8 whatever this shell speaks.
    "PYTHONUTF8": "1",
}

_LIMITS = {
    resource.RLIMIT_NOFILE: ("open files", "-n", MIN_OPEN_FILES),
    resource.RLIMIT_NPROC: ("processes and threads", "-u", 2048),
    resource.RLIMIT_AS: ("virtual memory", "-v", 64 * 2**30),
}


def start(folder: RunFolder) -> None:
    """Start Ray; its processes end with this one.

    Args:
        folder: Where they keep what they need; has a guard.

    Raises:
        ConfigurationError: It did not start, or this process may not do what it takes.
    """
    raise_limits()
    import ray
    from ray._private import ray_constants

    # What Ray has for other systems: a cluster of one machine, that listens on loopback only.
    os.environ.update(_ENVIRONMENT)
    several, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        with folder.as_tmpdir(), folder.beside(), _signals_of_ours(), time_for_a_node():
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder.path / "ray"),
            )
    except Exception as error:  # of a node that takes too long it raises a plain one
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"Ray did not start: {reason or type(error).__name__}; where this machine is busy, "
            "start again"
        ) from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = several


@contextmanager
def time_for_a_node() -> Iterator[None]:
    """Give a node of Ray that is started in here more time than Ray does.

    Ray's own 30 s, which no setting changes, are too few where engines keep all processors busy: a
    node is there once its agents are, which are Python processes.
    """
    from ray._private import services

    find = services.get_node

    def find_in_time(*arguments: Any) -> Any:
        deadline = time.monotonic() + NODE_S
        while True:
            try:
                return find(*arguments)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_S)

    services.get_node = find_in_time
    try:
        yield
    finally:
        services.get_node = find


@contextmanager
def _signals_of_ours() -> Iterator[None]:
    """Keep what a program does on SIGTERM, where it does anything: Ray puts its own in place."""
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if ours is not signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)


class _Holder:
    """Lives and dies with the process that made it; its name can be taken once."""


def hold(address: str) -> Any:
    """Take the cluster that this process is connected to for itself; return what it is held by.

    It is given back where that is killed with `ray.kill`, and where this process ends.

    Args:
        address: Address of the cluster, for the message.

    Raises:
        ConfigurationError: Another process has it.
    """
    import ray

    try:
        return ray.remote(num_cpus=0)(_Holder).options(name=_HOLDER, namespace=_HOLDER).remote()
    except ValueError:
        raise ConfigurationError(
            f"the Ray cluster at {address} has a stack of `scalesim up`, or of another simulation, "
            "which this one would replace: use another cluster, wait for the end of that, or ask "
            "that stack (`--base-url`)"
        ) from None


def head_of(address: str) -> str:
    """Return HOST:PORT of a cluster's head.

    Args:
        address: HOST:PORT, or `auto`: what RAY_ADDRESS says, else the cluster that `ray start`
            began last on this machine, else the only one that has a node here. Ray's own `auto`
            takes any of several, one of another stack's own too.

    Raises:
        UnavailableError: No cluster has a node here.
        ConfigurationError: Several have.
    """
    if address != "auto":
        return address
    named = ray_address_from_env()
    if named is not None and "://" not in named:
        return named
    from ray._private import services

    running = services.find_gcs_addresses()
    begun = services.find_bootstrap_address(None)
    if begun in running:
        return str(begun)
    if len(running) > 1:
        raise ConfigurationError(
            f"several Ray clusters have a node on this machine ({', '.join(sorted(running))}): "
            "name one by its HOST:PORT, or in RAY_ADDRESS"
        )
    for found in running:
        return str(found)
    raise UnavailableError(
        "no Ray cluster has a node on this machine: give HOST:PORT of a head, or start a node "
        "(`ray start --head`, or `ray start --address HOST:PORT`)"
    )


def join(address: str, environment: Mapping[str, str]) -> None:
    """Connect this process to a cluster that runs.

    Args:
        address: As for `head_of`.
        environment: Environment of every process that is started for it there, on whatever node.

    Raises:
        UnavailableError: There is none, or this machine has no node of it.
        ConfigurationError: `auto` could be several.
        AuthenticationError: It asks for a token that was not given.
    """
    import ray

    address = head_of(address)
    try:
        _knock(address)
        with _signals_of_ours():
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                runtime_env={"env_vars": {**environment, **_ENVIRONMENT}},
            )
    except ray.exceptions.AuthenticationError:
        raise AuthenticationError(
            f"the Ray cluster at {address} asks for a token: set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN to the one it was started with"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        found = " ".join(str(error).split())
        raise UnavailableError(
            f"no Ray cluster at {address} can be joined ({found}): give HOST:PORT of its head, and "
            "start this on a machine that has a node of it (`ray start --address HOST:PORT`)"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError or ValueError where nothing listens: Ray would try for many minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def is_broken() -> bool:
    """Return whether a process of this cluster is gone that the others cannot do without."""
    from ray._private import ray_constants, worker

    needed = {ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER}
    node = worker._global_node
    if node is None:
        return False
    try:
        _knock(node.gcs_address)  # of a cluster that was joined it knows no processes
    except OSError:
        return True
    return any(kind in needed for kind, _ in node.dead_processes())


def keep_serve_on_loopback() -> None:
    """Have this process's Serve replica listen where its node does, if that is loopback.

    Its port for other deployments' calls takes what Python unpickles. Serve opens it on all
    addresses once the deployment is constructed.
    """
    import ray
    from ray._common.network_utils import build_address, is_localhost
    from ray.serve._private import replica

    here = ray.util.get_node_ip_address()
    if is_localhost(here) and replica.add_port_to_grpc_server.__module__ != __name__:
        everywhere = replica.add_port_to_grpc_server

        def only_here(server: object, address: str) -> int:
            port = address.rpartition(":")[2]
            bound: int = everywhere(server, build_address(here, port))
            return bound

        replica.add_port_to_grpc_server = only_here


def raise_limits() -> None:
    """Take as much as this process may have of what the system limits.

    Raises:
        ConfigurationError: That is too little.
    """
    for limit, (what, flag, least) in _LIMITS.items():
        soft, hard = resource.getrlimit(limit)
        if soft != hard and limit != resource.RLIMIT_AS:
            resource.setrlimit(limit, (hard, hard))
        if hard not in (resource.RLIM_INFINITY,) and hard < least:
            raise ConfigurationError(
                f"this process may have {hard} {what}, a stack needs {least}: raise it with "
                f"`ulimit {flag}`, or ask who administers this machine"
            )

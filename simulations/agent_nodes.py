"""Where agents run: on every node of Ray's cluster, or beside a stack that only one reaches."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Set
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from scalesim.environment import client_from_env
from scalesim.settings import IngressSettings, MetricsSettings

_KEY_BYTES = 24
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - with a key


class Ports(NamedTuple):
    """Where a simulation's own stacks listen, one after the other.

    Attributes:
        api: Port of the API, whose /metrics is the ingress'; 0 takes a free one.
        controller: Port of the controller's metrics; 0 leaves them in the API's.
        replicas: First of the 16 that replicas take for theirs; 0 for none.
    """

    api: int = 0
    controller: int = 0
    replicas: int = 0


class Listening(NamedTuple):
    """How one of these stacks listens."""

    ingress: IngressSettings
    metrics: MetricsSettings


def listening_of_arm(ports: Ports) -> Listening:
    """Return how a simulation's own stack listens in the Ray cluster that there is, if any."""
    import ray

    if not ray.is_initialized():
        return listening_for(set(), "", ports)
    from scalesim.deployments.nodes import nodes

    here = ray.util.get_node_ip_address()
    return listening_for({node.address for node in nodes()}, here, ports)


def listening_for(addresses: Set[str], here: str, ports: Ports) -> Listening:
    """Return how a stack listens: on loopback, or with a key on the nodes' addresses.

    The key is SCALESIM_API_KEY, for who is to scrape it; else one that only this run knows.

    Args:
        addresses: Addresses of the cluster's machines.
        here: Address of this one.
        ports: Where.
    """
    metrics = MetricsSettings(controller_port=ports.controller, replica_port=ports.replicas)
    if not addresses - {here}:
        return Listening(IngressSettings(port=ports.api), metrics)
    key = client_from_env().api_key or SecretStr(secrets.token_urlsafe(_KEY_BYTES))
    ingress = IngressSettings(host=here, port=ports.api, api_key=key)
    return Listening(ingress, metrics.model_copy(update={"host": _EVERYWHERE}))


def is_loopback(base_url: str) -> bool:
    """Return whether only this machine reaches an address."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

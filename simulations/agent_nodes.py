"""Where agents run: on every node of Ray's cluster, or beside a stack that only one reaches."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Set
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from scalesim.settings import IngressSettings

_KEY_BYTES = 24


def ingress_of_arm() -> IngressSettings:
    """Return how a simulation's own stack listens in the Ray cluster that there is, if any."""
    import ray

    if not ray.is_initialized():
        return IngressSettings(port=0)
    from scalesim.deployments.nodes import nodes

    return ingress_for({node.address for node in nodes()}, ray.util.get_node_ip_address())


def ingress_for(addresses: Set[str], here: str) -> IngressSettings:
    """Return how it listens: on loopback, or with a key on this node's address.

    Args:
        addresses: Of the cluster's machines.
        here: Address of this one.
    """
    if not addresses - {here}:
        return IngressSettings(port=0)
    return IngressSettings(host=here, port=0, api_key=SecretStr(secrets.token_urlsafe(_KEY_BYTES)))


def placement(base_url: str) -> Any:
    """Return Ray's strategy for the workers that call a stack; Ray must be initialised."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not is_loopback(base_url):
        return "SPREAD"
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def is_loopback(base_url: str) -> bool:
    """Return whether only this machine reaches an address."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

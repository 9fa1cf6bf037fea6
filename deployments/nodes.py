"""What a cluster's machines have for engines: which device, whether all fit, how many share one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings

_FEW_CORES = 2
_CORES_PER_INGRESS = 4
_MOST_INGRESSES = 8


class Node(NamedTuple):
    """One Ray node.

    Attributes:
        address: Address of its machine or pod; nodes of one address share its memory.
        gpus: GPUs that Ray deals out there.
        cpus: CPUs likewise.
    """

    address: str
    gpus: float
    cpus: float


def nodes() -> list[Node]:
    """Return the nodes of the cluster this process is connected to."""
    import ray

    return nodes_of(ray.nodes())


def nodes_of(described: Iterable[dict[str, Any]]) -> list[Node]:
    """Return the nodes that are alive, as Ray describes them."""
    return [
        Node(each["NodeManagerAddress"], resources.get("GPU", 0.0), resources.get("CPU", 0.0))
        for each in described
        if each["Alive"]
        for resources in [each["Resources"]]
    ]


def device_of(settings: StackSettings, cluster: Sequence[Node]) -> Literal["cuda", "cpu"]:
    """Return where engines run: `auto` is GPUs where any node has one."""
    device = settings.engine.device
    if device == "auto":
        return "cuda" if any(node.gpus for node in cluster) else "cpu"
    return device


def check_gpus(settings: StackSettings, cluster: Sequence[Node], *, grows: bool) -> None:
    """Check that a cluster has GPUs for all engines.

    Args:
        settings: The whole stack's settings.
        cluster: Its nodes now.
        grows: Whether more of them may come; then one GPU is enough.

    Raises:
        ConfigurationError: It has not; says what it has.
    """
    if device_of(settings, cluster) == "cpu":
        return
    ranks, replicas = settings.engine.tp_size, settings.fewest_replicas
    largest = max((int(node.gpus) for node in cluster), default=0)
    if not largest:
        raise ConfigurationError(
            "engine.device is 'cuda' but Ray sees no GPU: use 'cpu' or 'auto', or check the "
            "driver and CUDA_VISIBLE_DEVICES"
        )
    if grows:
        return
    if ranks > largest:
        raise ConfigurationError(
            f"engine.tp_size is {ranks}, but the largest machine has {largest} GPUs: an engine "
            f"cannot span machines; use tp_size <= {largest}"
        )
    places = sum(int(node.gpus) // ranks for node in cluster)
    if replicas > places:
        raise ConfigurationError(
            f"{replicas} replicas of {ranks} GPUs each do not fit: the cluster has places for "
            f"{places}; use replicas <= {places}"
        )


def ingress_processes(settings: StackSettings, cluster: Sequence[Node], here: str | None) -> int:
    """Return how many processes take connections, as the settings say or by what there is.

    One takes about 650 requests a second, or streams 7,000 tokens, on one core and in 0.2 GB; two
    lose less with one of them. So a machine of three cores or more has two, and one more for every
    four cores past eight. One of two cores, which the engine needs too, has one.

    Args:
        settings: The whole stack's settings.
        cluster: Its nodes now.
        here: Address of the machine where all of them are; None where there is one a node, behind
            Serve's proxies.
    """
    if settings.ingress.processes is not None:
        return settings.ingress.processes
    if here is None:
        return max(1, len(cluster))
    cores = sum(node.cpus for node in cluster if node.address == here)
    if cores <= _FEW_CORES:
        return 1
    return max(2, min(_MOST_INGRESSES, int(cores) // _CORES_PER_INGRESS))


def engines_at(settings: StackSettings, cluster: Sequence[Node], address: str) -> int:
    """Return how many engines may share the memory of one address, at least one.

    Where they end up is Ray's to decide, so this is as many as there is place for.
    """
    here = [node for node in cluster if node.address == address]
    if device_of(settings, cluster) == "cuda":
        places = sum(int(node.gpus) // settings.engine.tp_size for node in here)
    elif settings.cpus_per_replica:
        places = sum(math.floor(node.cpus / settings.cpus_per_replica) for node in here)
    else:
        places = settings.most_replicas
    return max(1, min(settings.engines_per_machine or settings.most_replicas, places))

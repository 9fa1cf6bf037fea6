"""A simulation as a Ray job: it uses the cluster that it was submitted to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from scalesim.environment import ray_address_from_env
from scalesim.errors import ConfigurationError
from scalesim.settings import ControllerSettings


@contextmanager
def cluster_of_job(address: str | None = None, *, alone: bool = True) -> Iterator[None]:
    """Use the cluster at an address, or that a job was submitted to; else this does nothing.

    Args:
        address: HOST:PORT of its head.
        alone: Whether stacks are to be started there: then the cluster is held, and a stack left
            behind by a process that died is removed.

    Raises:
        ConfigurationError: It is to be held, and another stack, simulation or anything else that is
            served has it.
    """
    address = address or ray_address_from_env()
    if address is None:
        yield
        return
    import ray

    ray.init(address, log_to_driver=False)
    if not alone:
        yield
        return
    from ray import serve

    from scalesim.controller import actor
    from scalesim.deployments.cluster import hold
    from scalesim.deployments.stack import APP

    holder = hold(address)
    try:
        served = serve.status().applications
        if others := set(served) - {APP}:
            raise ConfigurationError(
                f"the Ray cluster at {address} runs an application of Serve ({min(others)}), which "
                "the stacks of a simulation would replace: use a cluster of its own"
            )
        if served:
            serve.shutdown()
        actor.stop(ControllerSettings())
        yield
    finally:
        with suppress(ray.exceptions.RayError):
            ray.kill(holder)

"""A simulation as a Ray job: it uses the cluster that it was submitted to, alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scalesim.environment import ray_address_from_env
from scalesim.errors import ConfigurationError
from scalesim.settings import ControllerSettings

_LOCK = "scalesim-simulation"


class _Lock:
    """Lives and dies with the driver; its name can be taken once."""


@contextmanager
def cluster_of_job(address: str | None = None) -> Iterator[None]:
    """Hold the cluster at an address, or that a job was submitted to; else this does nothing.

    A stack left behind by a simulation that died is removed.

    Raises:
        ConfigurationError: Another simulation, or anything else that is served, has the cluster.
    """
    address = address or ray_address_from_env()
    if address is None:
        yield
        return
    import ray
    from ray import serve

    from scalesim.controller import actor
    from scalesim.deployments.stack import APP

    ray.init(address, log_to_driver=False)
    try:
        lock = ray.remote(num_cpus=0)(_Lock).options(name=_LOCK, namespace=_LOCK).remote()
    except ValueError:
        raise _taken(address, "another simulation") from None
    served = serve.status().applications
    if set(served) - {APP}:
        raise _taken(address, "a Serve application")
    if served:
        serve.shutdown()
    actor.stop(ControllerSettings())
    yield
    ray.kill(lock)


def _taken(address: str, by: str) -> ConfigurationError:
    return ConfigurationError(
        f"the Ray cluster at {address} runs {by}, which the stacks of a simulation would replace: "
        "submit to a cluster of its own"
    )

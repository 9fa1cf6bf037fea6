"""The application as manifests and `serve run` name it: `scalesim.deployments.app:build`."""

from __future__ import annotations

from typing import Any

from scalesim.environment import pods_from_env, with_secrets_from_env
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings, load

APPLICATION = f"{__name__}:build"
"""What manifests name."""


def build(args: dict[str, Any]) -> Any:
    """Start the controller of a cluster and return the Serve application.

    Ray runs this on a node of the cluster; secrets come from that node's environment.

    Args:
        args: `StackSettings` as plain values, and `pods`, where the chart names the pods that they
            are for. `catalog.url` must name a server that every node reaches.

    Raises:
        ConfigurationError: The settings cannot work.
    """
    from scalesim.controller import actor
    from scalesim.deployments.middleware import check_binding
    from scalesim.deployments.stack import build_app

    values = dict(args)
    _check_pods(values.pop("pods", None))
    settings = with_secrets_from_env(load(StackSettings, values))
    check_binding(settings)
    if settings.engine.arm == "scalesim":
        actor.start(settings)
    return build_app(settings)


def _check_pods(meant: str | None) -> None:
    """Refuse arguments that are for other pods: KubeRay may leave those as they are.

    Raises:
        ConfigurationError: These pods have another template.
    """
    if meant is not None and meant != pods_from_env():
        raise ConfigurationError(
            "these pods are of another release than the arguments, as serve.upgradeStrategy None "
            "leaves pods as they are: what was served goes on. For the new one delete the Ray "
            "cluster, which KubeRay then makes again: kubectl delete raycluster -l "
            "ray.io/originated-from-cr-name=NAME_OF_THE_RAYSERVICE"
        )

"""The application as manifests and `serve run` name it: `scalesim.deployments.app:build`."""

from __future__ import annotations

from typing import Any

from scalesim.environment import with_secrets_from_env
from scalesim.settings import StackSettings, load


def build(args: dict[str, Any]) -> Any:
    """Start the controller of a cluster and return the Serve application.

    Ray runs this on a node of the cluster; secrets come from that node's environment.

    Args:
        args: `StackSettings` as plain values. `catalog.url` must name a server that every node
            reaches.

    Raises:
        ConfigurationError: The settings cannot work.
    """
    from scalesim.controller import actor
    from scalesim.deployments.middleware import check_binding
    from scalesim.deployments.stack import build_app

    settings = with_secrets_from_env(load(StackSettings, args))
    check_binding(settings)
    if settings.engine.arm == "scalesim":
        actor.start(settings)
    return build_app(settings)

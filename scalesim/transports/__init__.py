"""Ways from a simulation to the controller: an actor call inside its Ray cluster, else HTTP."""

from __future__ import annotations

import sys

from scalesim.settings import ClientSettings
from scalesim.transports.transport import MAX_ROWS, Report, Transport

__all__ = ["MAX_ROWS", "Report", "Transport", "connect"]


def connect(settings: ClientSettings) -> Transport:
    """Return the direct Ray path if this process is in the controller's cluster, else HTTP."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        from scalesim.transports.ray import RayTransport

        transport = RayTransport.find(settings)
        if transport is not None:
            return transport
    from scalesim.transports.http import HttpTransport

    return HttpTransport(settings)

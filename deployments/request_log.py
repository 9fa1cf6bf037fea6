"""One line for each request that was refused or failed, in Ray Serve's log of the ingress."""

from __future__ import annotations

import json
import logging
from hashlib import blake2b

from starlette.requests import Request

from scalesim.deployments.middleware import name_of
from scalesim.settings import LogSettings

_logger = logging.getLogger("ray.serve")

_DIGEST_BYTES = 8
_OURS = 500
"""Statuses from this one on are the stack's fault, not the request's."""


class RequestLog:
    """Writes the line; as text the fields stand in it, as JSON they are fields of the object too.

    Args:
        settings: Its form, and how agents stand in it.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings

    def failed(self, request: Request, path: str, status: int, code: str) -> None:
        """Write the line of one request.

        Args:
            request: As far as it was read: who sent it is known once its body was.
            path: Its route's path, with names of parts instead of values.
            status: HTTP status; that of a stream that broke off was 200 before.
            code: Code of the error.
        """
        fields = {"x_request_id": name_of(request), "status": status, "code": code}
        fields |= {"method": request.method, "path": path}
        fields |= self._who(request)
        line = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
        level = logging.WARNING if status >= _OURS else logging.INFO
        _logger.log(level, "request failed: %s", line, extra=fields)

    def _who(self, request: Request) -> dict[str, str]:
        who = getattr(request.state, "who", None)
        parts = request.path_params
        simulation = who.simulation if who else parts.get("simulation", "")
        agent = who.agent if who else parts.get("agent", "")
        if self._settings.identities == "none" or not simulation:
            return {}
        if self._settings.identities == "named":
            return {"simulation": simulation} | ({"agent": agent} if agent else {})
        hashed = {"simulation": digest(simulation)}
        return hashed | ({"agent": digest(simulation, agent)} if agent else {})


def digest(simulation: str, agent: str = "") -> str:
    """Return what stands for a simulation, or an agent of it, in a log: the same everywhere."""
    return blake2b(f"{simulation}\0{agent}".encode(), digest_size=_DIGEST_BYTES).hexdigest()

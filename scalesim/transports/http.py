"""The path from anywhere: msgpack over HTTP to the stack's ingress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from scalesim.errors import (
    AuthenticationError,
    ControllerUnavailableError,
    InvalidRequestError,
    ScaleSimError,
    StaleEpochError,
)
from scalesim.proxies import may_be_proxied
from scalesim.settings import ClientSettings
from scalesim.transports.transport import Report
from scalesim.vocabulary import ReportAck

_MSGPACK = {"Content-Type": "application/msgpack"}


class HttpTransport:
    """Talks to the ingress at `settings.base_url` over one kept connection."""

    def __init__(self, settings: ClientSettings) -> None:
        key = settings.api_key.get_secret_value()
        self._client = httpx.Client(
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            trust_env=may_be_proxied(settings.base_url),
        )

    def report(self, simulation: str, report: Report) -> ReportAck:
        """See `Transport.report`."""
        body = {
            "epoch": report.epoch,
            "ids": report.ids,
            "distances": report.distances.tolist(),
        }
        answer = self._call("POST", f"/v1/simulations/{simulation}/distances", body)
        return ReportAck(answer["epoch"], answer["accepted"], answer["ignored"])

    def lifecycle(
        self, simulation: str, pin: Sequence[str], unpin: Sequence[str], done: Sequence[str]
    ) -> None:
        """See `Transport.lifecycle`."""
        changes = {"pin": pin, "unpin": unpin, "done": done}
        body = {verb: list(agents) for verb, agents in changes.items() if agents}
        self._call("POST", f"/v1/simulations/{simulation}/agents", body)

    def end(self, simulation: str) -> None:
        """See `Transport.end`."""
        self._call("DELETE", f"/v1/simulations/{simulation}")

    def epoch(self, simulation: str) -> int:
        """See `Transport.epoch`."""
        status = self._call("GET", "/v1/status")
        return int(status["simulations"].get(simulation, {}).get("epoch", 0))

    def status(self) -> dict[str, Any]:
        """Return the stack's status document."""
        status: dict[str, Any] = self._call("GET", "/v1/status")
        return status

    def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what the stack knows of one agent."""
        path = f"/v1/simulations/{quote(simulation, safe='')}/agents/{quote(agent, safe='')}"
        known: dict[str, Any] = self._call("GET", path)
        return known

    def close(self) -> None:
        """See `Transport.close`."""
        self._client.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        # msgspec does not take ids out of a numpy array for strings.
        content = None if body is None else msgspec.msgpack.encode(body, enc_hook=str)
        try:
            response = self._client.request(method, path, content=content, headers=_MSGPACK)
        except httpx.HTTPError as error:
            raise ControllerUnavailableError(
                f"no answer from {self._client.base_url} ({type(error).__name__}: {error}); "
                "check the base URL and that `scalesim up` is running"
            ) from error
        if response.is_success:
            return response.json()
        raise _error(response)


def _error(response: httpx.Response) -> ScaleSimError:
    try:
        detail = response.json()["error"]
        message, field = str(detail["message"]), detail.get("param")
    except (ValueError, KeyError, TypeError):
        message, field = f"{response.request.url} answered {response.text[:200]!r}", None
    match response.status_code:
        case 401 | 403:
            return AuthenticationError(message)
        case 409:
            return StaleEpochError(message, field)
        case status if status < 500 and status not in (408, 429):
            return InvalidRequestError(message, field)
        case status:
            return ControllerUnavailableError(f"HTTP {status}: {message}")

"""Follows one simulation's requests while a program runs: a file of its trace, and counts."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import httpx

from scalesim.errors import UnavailableError
from scalesim.proxies import may_be_proxied
from scalesim.runs.tally import Tally
from scalesim.settings import ClientSettings

_logger = logging.getLogger(__name__)

_QUIET_S = 0.5
"""A program's last answer is in the trace within this time; then the trace is complete."""


class Recorder:
    """Writes the trace of a simulation to a file and counts it; used within `with`.

    Args:
        settings: Where the stack is.
        simulation: Records this simulation's requests; a checked name.
        file: JSON lines are written to; overwritten.

    Attributes:
        tally: Counts until now.
        interrupted: Why the trace is not complete; empty where it is.

    Raises:
        UnavailableError: The stack does not send its trace.
    """

    def __init__(self, settings: ClientSettings, simulation: str, file: Path) -> None:
        self.tally = Tally()
        self.interrupted = ""
        self._file = file
        self._heard_at = time.monotonic()
        self._stopping = False
        key = settings.api_key.get_secret_value()
        self._client = httpx.Client(
            base_url=settings.base_url,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=httpx.Timeout(settings.timeout_s, read=None),
            trust_env=may_be_proxied(settings.base_url),
        )
        self._simulation = simulation
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="scalesim-trace", daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        if not self._begun.wait(10.0) or self.interrupted:
            self._client.close()
            raise UnavailableError(
                f"{self._client.base_url} does not send its trace ({self.interrupted or 'timeout'})"
                ": is it a stack of ScaleSim, SCALESIM_API_KEY its key, and that for simulation "
                f"{self._simulation!r}?"
            )
        return self

    def __exit__(self, *error: object) -> None:
        """Take what is still on its way, for a moment, and end."""
        stopped_at = time.monotonic()
        while (
            self._thread.is_alive()
            and time.monotonic() - max(stopped_at, self._heard_at) < _QUIET_S
        ):
            self._thread.join(0.05)
        self._stopping = True
        self._client.close()
        self._thread.join(1.0)

    def _follow(self) -> None:
        query = {"simulation": self._simulation}
        try:
            with (
                self._file.open("w", encoding="utf-8") as sink,
                self._client.stream("GET", "/v1/trace", params=query) as feed,
            ):
                if feed.is_error:
                    raise UnavailableError(_said(feed))
                for line in feed.iter_lines():
                    self._begun.set()
                    if line:
                        sink.write(line + "\n")
                        sink.flush()
                        self._heard_at = time.monotonic()
                        self.tally.add(json.loads(line))
            self.interrupted = "the stack ended"
        except UnavailableError as error:
            self.interrupted = str(error)
        except Exception as error:  # also what a client raises whose connection is closed under it
            if not self._stopping:
                self.interrupted = f"{type(error).__name__}: {error}"
                _logger.debug("The trace broke off", exc_info=True)
        finally:
            self._begun.set()


def _said(answer: httpx.Response) -> str:
    """Return what a stack says of a refusal, or the status where it is not one of its own."""
    try:
        return str(json.loads(answer.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"

"""A stack in a process of its own, for as long as one command takes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from scalesim.errors import UnavailableError
from scalesim.proxies import may_be_proxied

_START_S = 1800.0
"""Longest a start may take: weights of a large model come over a network first."""

_DRAIN_S = 60.0

_SETTINGS = {"ingress": {"model_aliases": {"*": "scalesim"}}}
"""Settings of a stack that is given none: programs have names of models written into them."""

_UP = (
    "import ctypes, signal; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "from scalesim.cli.main import main; main()"
)
"""`scalesim`, which the kernel ends when its parent dies (PR_SET_PDEATHSIG)."""


def is_up(base_url: str) -> bool:
    """Return whether something answers for health there as a stack does."""
    import httpx

    try:
        answer = httpx.get(f"{base_url}/health", timeout=5.0, trust_env=may_be_proxied(base_url))
        return answer.is_success and answer.json() == {"status": "ok"}
    except (httpx.HTTPError, ValueError):
        return False


class StackProcess:
    """`scalesim up` on a free port; used within `with`.

    Args:
        model: As for `up`.
        config: As for `up`; without one every name of a model stands for this one.

    Attributes:
        base_url: Where it listens.

    Raises:
        UnavailableError: It did not start; its own message is on standard error.
    """

    def __init__(self, model: str | None, config: Path | None) -> None:
        command = [sys.executable, "-c", _UP, "up", "--json", "--port", "0"]
        command += ["--model", model] if model else []
        self._command = command
        self._config = config
        self.base_url = ""

    def __enter__(self) -> StackProcess:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as settings:
            json.dump(_SETTINGS, settings)  # which is YAML too
            settings.flush()
            self._start([*self._command, "--config", str(self._config or settings.name)])
        return self

    def _start(self, command: list[str]) -> None:
        # In a session of its own: Ctrl-C is for the program, and the report comes after it.
        self._process = subprocess.Popen(  # noqa: S603 - its words are ours
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        printed = ""
        limit = threading.Timer(_START_S, self._process.terminate)
        limit.daemon = True
        limit.start()
        try:
            for line in self._process.stdout:
                printed += line
                if line.startswith("}"):
                    break
        finally:
            limit.cancel()
        try:
            self.base_url = json.loads(printed)["base_url"]
        except (ValueError, KeyError):
            self.__exit__()
            raise UnavailableError(f"the stack did not start: {_message(printed)}") from None

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_DRAIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _message(printed: str) -> str:
    try:
        return str(json.loads(printed)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "its own messages are above"

"""A stack in a process of its own, for as long as one command takes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from scalesim.errors import UnavailableError
from scalesim.proxies import may_be_proxied

_DRAIN_S = 60.0

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
        config: As for `up`.
        console: Says that it is starting.

    Attributes:
        base_url: Where it listens.

    Raises:
        UnavailableError: It did not start; its own message is on standard error.
    """

    def __init__(self, model: str | None, config: Path | None, console: Console) -> None:
        command = [sys.executable, "-c", _UP, "up", "--json", "--port", "0"]
        command += ["--model", model] if model else []
        command += ["--config", str(config)] if config else []
        self._command = command
        self._console = console
        self.base_url = ""

    def __enter__(self) -> StackProcess:
        # In a session of its own: Ctrl-C is for the program, and the report comes after it.
        self._process = subprocess.Popen(  # noqa: S603 - its words are ours
            self._command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        printed = ""
        for line in self._process.stdout:
            printed += line
            if line.startswith("}"):
                break
        try:
            self.base_url = json.loads(printed)["base_url"]
        except (ValueError, KeyError):
            self.__exit__()
            raise UnavailableError(f"the stack did not start: {_message(printed)}") from None
        return self

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

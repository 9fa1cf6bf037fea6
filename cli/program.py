"""The user's program as a child process that gets the signals meant for it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from types import FrameType

from scalesim.errors import InvalidRequestError

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128
"""Shells answer this and the signal's number for what a signal ended."""


def check_is_there(command: list[str]) -> None:
    """Check that a command can be run, before anything is started for it.

    Raises:
        InvalidRequestError: There is no such program, or it may not be run.
    """
    if shutil.which(command[0]) is None:
        raise _cannot_be_run(command, "it is not there, or no program")


class Program:
    """A command that is run once, in the foreground.

    Args:
        command: Words of the command.
        environment: All of its variables.
    """

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run it to its end and return its exit code, as a shell would.

        Ctrl-C reaches it from the terminal, and it decides what follows; SIGTERM and SIGHUP are
        passed on. What is ignored stays so, for it too: `nohup` is for both.

        Raises:
            InvalidRequestError: There is no such program.
        """
        handlers = {**dict.fromkeys(_PASSED_ON, self._pass_on), signal.SIGINT: _ignore}
        former = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            with subprocess.Popen(self._command, env=self._environment) as process:  # noqa: S603
                self._process = process
                code = process.wait()
        except OSError as error:
            raise _cannot_be_run(self._command, str(error)) from None
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
        return code if code >= 0 else _BY_SIGNAL - code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def _cannot_be_run(command: list[str], why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{command[0]!r} cannot be run ({why}): give a program after `--`, e.g. "
        "scalesim run -- python my_simulation.py",
        "command",
    )


def _ignore(number: int, frame: FrameType | None) -> None:
    """Take a signal that the child got too; a child inherits no handler, but SIG_IGN it would."""

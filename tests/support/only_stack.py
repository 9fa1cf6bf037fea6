"""The one stack of a test process: Ray's names allow no second at a time."""

from __future__ import annotations

from scalesim.deployments.stack import Stack
from scalesim.settings import StackSettings


class OnlyStack:
    """Keeps a stack for the next test that asks for the same settings.

    Tests come in any order: other settings, or a test that stopped it, make a new one.
    """

    def __init__(self) -> None:
        self._stack: Stack | None = None
        self._settings: StackSettings | None = None

    def running(self, settings: StackSettings) -> Stack:
        """Return a stack of these settings."""
        if self._stack is None or self._settings != settings:
            self.stop()
            self._stack, self._settings = Stack(settings).start(), settings
        return self._stack

    def stop(self) -> None:
        """Stop what runs, if anything does."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.stop()

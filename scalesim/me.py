"""One agent in one turn: what it remembers, sees, hears, asks and tells."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from scalesim.errors import OutOfReachError

Chat: TypeAlias = Sequence[Mapping[str, Any]]
TextListener: TypeAlias = Callable[[str], None]
Ask: TypeAlias = Callable[[Chat, Mapping[str, Any], TextListener | None], Awaitable["ModelReply"]]
"""Calls the model with messages and parameters; the third gets text as it comes."""


class ModelReply(str):
    """What the model said: its text, and the rest of its message.

    Attributes:
        message: OpenAI's message, e.g. with `tool_calls`.
        usage: OpenAI's token counts.
    """

    message: Mapping[str, Any]
    usage: Mapping[str, Any]

    def __new__(
        cls, text: str, message: Mapping[str, Any] | None = None, usage: Mapping[str, Any] = {}
    ) -> ModelReply:
        """Return text with what came along."""
        self = super().__new__(cls, text)
        self.message = message or {"role": "assistant", "content": text}
        self.usage = usage
        return self

    @property
    def tool_calls(self) -> Sequence[Any]:
        """Tools the model wants called, as OpenAI writes them."""
        return self.message.get("tool_calls") or ()

    def json(self) -> Any:
        """Return the text parsed as JSON, as asked for by `response_format`."""
        return json.loads(self)


class InboxMessage(NamedTuple):
    """A message of another agent: who sent it, what it says, and in which step."""

    sender: str
    content: Any
    step: int


class Other(NamedTuple):
    """Another agent as this one sees it: what it shows, and how far away (nan: no position)."""

    id: str
    state: Any
    distance: float


class Around(Protocol):
    """Whom an agent has around it in one turn."""

    def seen(self) -> Mapping[str, Other]:
        """Return the others that it sees, by name."""
        ...

    def check(self, other: str) -> None:
        """Raise WorldError unless there is such an agent."""
        ...

    def check_reach(self, other: str) -> None:
        """Raise OutOfReachError unless it can tell that agent something."""
        ...


class Me:
    """One agent in one turn.

    Attributes:
        id: Its name.
        step: Step of this turn.
        state: What it remembers from turn to turn: a dict of JSON-like values, to be changed.
        inbox: Messages sent to it since its last turn, in order of step and sender.
        sent: Messages that it sent in this turn: to whom, and what.
        random: Draws that are the same in every run of the same seed.
    """

    def __init__(
        self,
        id: str,
        step: int,
        state: dict[str, Any],
        inbox: Sequence[InboxMessage],
        around: Around,
        ask: Ask,
        seed: int,
    ) -> None:
        self.id, self.step, self.state, self.inbox = id, step, state, tuple(inbox)
        self.random = random.Random(f"{seed}/{id}/{step}")  # noqa: S311 - a simulation's draws
        self.sent: list[tuple[str, Any]] = []
        self._around, self._ask = around, ask
        self._others: Mapping[str, Other] | None = None

    async def ask(
        self, messages: str | Chat, *, on_text: TextListener | None = None, **parameters: Any
    ) -> ModelReply:
        """Call the model as this agent; greedy unless `temperature` says otherwise.

        Args:
            messages: OpenAI's messages; plain text is one of the user.
            on_text: Called with each piece of text as it comes.
            **parameters: OpenAI's, e.g. `max_tokens`, `tools`, `response_format`, and
                `extra_headers` as in its SDK.

        Raises:
            CallFailedError: The model did not answer.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return await self._ask(messages, parameters, on_text)

    def near(self) -> Sequence[Other]:
        """Return the others that this agent sees, as of the step before.

        With `position` those within `reach`, with `edges` those it sees, with `depends_on` those it
        follows, as of this step; without any of these, everyone.
        """
        return tuple(self._seen().values())

    def see(self, other: str) -> Any:
        """Return what another agent shows, as of the step before.

        Raises:
            WorldError: There is no such agent.
            OutOfReachError: It is not among `near()`.
        """
        self._around.check(other)
        found = self._seen().get(other)
        if found is None:
            raise OutOfReachError(
                f"{self.id} in step {self.step} looked at {other}, whom it does not see: look at "
                "those of me.near(), or give the World a larger reach or another edge"
            )
        return found.state

    def tell(self, other: str, message: Any) -> None:
        """Send another agent a message, which is in its inbox in the next step.

        Args:
            other: With `position`, one within `reach`; with `edges` or `depends_on`, one that sees
                or follows this agent; else anyone.
            message: Text, or any JSON-like value.

        Raises:
            WorldError: There is no such agent.
            OutOfReachError: It is out of reach.
        """
        self._around.check(other)
        self._around.check_reach(other)
        self.sent.append((other, message))

    def _seen(self) -> Mapping[str, Other]:
        if self._others is None:
            self._others = self._around.seen()
        return self._others

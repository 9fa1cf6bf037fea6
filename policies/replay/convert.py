"""Requests of other people's traces as events of ours: who asked, and in which step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.formats import Request


class Conversations:
    """Separates conversations by the blocks of their prompts.

    A request goes on with a conversation if its prompt begins with all that one's latest prompt
    but the last block, which may have been cut short there. What several conversations begin with
    is the first one's, and does not make the others its own.
    """

    _LEAST_BLOCKS = 2
    """A single block is everybody's system prompt."""

    def __init__(self) -> None:
        self._owner: dict[str, int] = {}
        self._blocks: list[int] = []

    def of(self, blocks: tuple[Any, ...]) -> int:
        """Return the number of the conversation a prompt belongs to, a new one where none fits."""
        held = next((n for n in range(len(blocks), 0, -1) if blocks[n - 1] in self._owner), 0)
        who = self._owner[blocks[held - 1]] if held >= self._LEAST_BLOCKS else None
        if who is None or held < self._blocks[who] - 1:
            who = len(self._blocks)
            self._blocks.append(0)
        self._blocks[who] = len(blocks)
        for block in blocks[held:]:
            self._owner[block] = who
        return who


def events(
    asked: Iterable[Request],
    *,
    origin_s: float,
    step_s: float = 1.0,
    agents: int | None = None,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield one event of ours a request, in the order they come.

    Args:
        asked: The requests.
        origin_s: Time of the first step's begin.
        step_s: Length of a step.
        agents: Deals requests that do not say who asked to so many agents, by chance.
        seed: Of that chance.

    Raises:
        InvalidRequestError: A request does not say who asked, and `agents` is None; or one is
            before `origin_s`.
    """
    conversations, rng = Conversations(), np.random.default_rng(seed)
    if not 0 < step_s < math.inf:
        raise InvalidRequestError(f"a step of {step_s} s is not a step: give more than 0", "step_s")
    for number, request in enumerate(asked, 1):
        if request.time_s < origin_s:
            raise InvalidRequestError(f"request {number} is before the trace begins", "origin_s")
        if request.agent:
            agent = request.agent
        elif request.blocks:
            agent = f"conversation-{conversations.of(request.blocks)}"
        elif agents is not None:
            agent = f"agent-{rng.integers(agents)}"
        else:
            raise InvalidRequestError(
                f"request {number} of the trace does not say who asked: give --agents N to deal "
                "such requests out to N agents by chance",
                "agents",
            )
        event: dict[str, Any] = {"step": int((request.time_s - origin_s) / step_s), "agent": agent}
        counts = {"prompt_tokens": request.prompt_tokens, "output_tokens": request.output_tokens}
        yield event | {name: count for name, count in counts.items() if count}

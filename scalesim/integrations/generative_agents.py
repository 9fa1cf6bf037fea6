"""Generative Agents: calls carry the persona's identity; its next call is when its action ends.

It is a clone of a repository, not a package: known by what its `persona.persona` holds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, foresee
from scalesim.integrations.watching import before

_logger = logging.getLogger("scalesim")

_STEP = timedelta(seconds=10)
"""What the repository's simulations take; after the first step it is measured."""


def install(module: ModuleType) -> None:
    """Patch personas: calls carry their identity, and the end of each action is reported."""
    persona = getattr(module, "Persona", None)
    if not all(hasattr(persona, name) for name in ("move", "perceive", "retrieve", "plan")):
        _logger.warning(
            "persona.persona is not that of Generative Agents: its agents are not distinguished. "
            "Use `with scalesim.agent(name):` around their calls"
        )
        return
    for name in ("move", "open_convo_session"):  # forks leave out the second
        if hasattr(persona, name):
            act_for(persona, name, lambda self, *args, **kwargs: self.name)
    before(persona, "move", _Clock().tell)


class _Clock:
    """Notices when the simulated time advances, which begins a step."""

    def __init__(self) -> None:
        self._now: datetime | None = None

    def tell(
        self, persona: Any, maze: Any, personas: Mapping[str, Any], tile: Any, now: datetime
    ) -> None:
        if now == self._now:
            return
        step = now - self._now if self._now is not None and now > self._now else _STEP
        self._now = now
        steps = {name: _left(one.scratch, now) / step for name, one in personas.items()}
        begin_step(order=[name for name, left in steps.items() if left <= 0])
        foresee({name: left for name, left in steps.items() if 0 < left < math.inf})


def _left(scratch: Any, now: datetime) -> timedelta:
    """Return the time left of a persona's current action."""
    if getattr(scratch, "chatting_with", None) and scratch.chatting_end_time is not None:
        return scratch.chatting_end_time - now  # type: ignore[no-any-return]
    if scratch.act_start_time is None:
        return timedelta()
    return scratch.act_start_time + timedelta(minutes=scratch.act_duration or 0) - now  # type: ignore[no-any-return]

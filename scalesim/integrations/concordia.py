"""Concordia: calls carry the entity's or game master's identity; game masters are pinned.

Who acts comes from the engine, and where the game master goes round, the turns after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, pin
from scalesim.integrations.watching import after, before


def install_entities(module: ModuleType) -> None:
    """Let all that entities do act for them."""
    for name in ("act", "observe", "stateless_act"):  # later versions have no third
        if name != "stateless_act" or hasattr(module.EntityAgent, name):
            act_for(module.EntityAgent, name, lambda self, *args, **kwargs: self.name)


def install_sequential(module: ModuleType) -> None:
    """Watch the engine in which one entity acts at a time."""
    _watch(module.Sequential)


def install_simultaneous(module: ModuleType) -> None:
    """Watch the engine in which entities act at once."""
    _watch(module.Simultaneous)


def install_asynchronous(module: ModuleType) -> None:
    """Watch the engine in which every entity acts at its own pace: nobody knows an order."""
    before(module.Asynchronous, "run_loop", _keep)


def _watch(engine: Any) -> None:
    before(engine, "run_loop", _keep)
    after(engine, "next_acting", _tell)


def _keep(self: Any, game_masters: Sequence[Any], *args: Any, **kwargs: Any) -> None:
    pin(*(master.name for master in game_masters))


def _tell(result: Any, self: Any, game_master: Any, *args: Any, **kwargs: Any) -> None:
    acting = result[0] if isinstance(result[0], Sequence) else [result[0]]
    names = [entity.name for entity in acting]
    begin_step(names, upcoming=[[name] for name in _following(game_master, names)])


def _following(game_master: Any, names: list[str]) -> list[str]:
    """Return who comes after these where the game master has a fixed order."""
    for component in game_master.get_all_context_components().values():
        order = list(getattr(component, "_sequence", ()))
        if len(names) == 1 and names[0] in order:
            place = order.index(names[0]) + 1
            return [*order[place:], *order[: place - 1]]
    return []

"""Mesa: each agent of `AgentSet.do` and `shuffle_do` acts, in an order known before the first."""

from __future__ import annotations

import functools
from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import acting
from scalesim.integrations.current_run import begin_step, identity
from scalesim.integrations.faults import harmless
from scalesim.integrations.requests_of_http import named_requests

_asks: dict[Any, bool] = {}
"""Whether agents asked the model when a method was last done; of a new one it is expected. By its
name or its code, as a lambda is another object each time."""


def install(module: ModuleType) -> None:
    """Watch the sets of agents."""
    agents = module.AgentSet
    for name in ("do", "shuffle_do", "map"):
        setattr(agents, name, _watched(getattr(agents, name), shuffles=name == "shuffle_do"))


def agent_id(agent: Any) -> str:
    """Return a name that is the agent's own in its model."""
    return f"{type(agent).__name__} {agent.unique_id}"


def _watched(original: Callable[..., Any], *, shuffles: bool) -> Callable[..., Any]:
    tell = harmless(_tell)

    @functools.wraps(original)
    def watched(self: Any, method: Any, *args: Any, **kwargs: Any) -> Any:
        tell(self, method, shuffles)
        count = named_requests.total
        result = original(self, _as_agent(method), *args, **kwargs)
        _asks[_what(method)] = named_requests.total > count
        return result

    return watched


def _what(method: Any) -> Any:
    return method if isinstance(method, str) else getattr(method, "__code__", type(method))


def _as_agent(method: Any) -> Callable[..., Any]:
    """Return what a set calls with each of its agents, acting for it."""
    who = harmless(lambda agent: identity(agent_id(agent)))

    def call(agent: Any, *args: Any, **kwargs: Any) -> Any:
        with acting(who(agent)):
            if isinstance(method, str):
                return getattr(agent, method)(*args, **kwargs)
            return method(agent, *args, **kwargs)

    return call


def _tell(agents: Any, method: Any, shuffles: bool) -> None:
    """Report the order: a shuffled one is drawn from a copy of the model's generator."""
    if _asks.get(_what(method), True):
        ids = [agent_id(agent) for agent in agents]
        order = list(ids)
        if shuffles:
            chance = Random()  # noqa: S311 - takes over the state of the model's own
            chance.setstate(agents.random.getstate())
            chance.shuffle(order)
        begin_step(order=order, upcoming=[ids])

"""The one simulation that this process's frameworks report to, and its steps.

Frameworks count their steps each in its own way, or not at all, and one process may run several
models: the run counts by itself, one step for each that a framework begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from scalesim.caller import CallerIdentity, identity_of
from scalesim.integrations.faults import harmless

if TYPE_CHECKING:
    from scalesim.identity import AgentId
    from scalesim.simulation import Simulation

_lock = Lock()
_simulation: Simulation | None = None


def simulation() -> Simulation:
    """Return this process's simulation: SCALESIM_SIMULATION, at SCALESIM_BASE_URL."""
    global _simulation
    with _lock:
        if _simulation is None:
            import atexit

            from scalesim.simulation import Simulation

            _simulation = Simulation()
            atexit.register(_simulation.close, 1.0)
        return _simulation


def identity(agent: AgentId) -> CallerIdentity | None:
    """Return an agent of this process's simulation, by the name that its framework has for it.

    Returns:
        None where the name is empty.

    Raises:
        InvalidRequestError: It is neither text nor an integer or a UUID.
    """
    from scalesim.integrations.agent_names import agent_name

    name = agent_name(agent)
    return None if name is None else identity_of(simulation().name, name)


@harmless
def begin_step(
    active: Iterable[AgentId] = (),
    *,
    order: Sequence[AgentId] = (),
    upcoming: Sequence[Iterable[AgentId]] = (),
) -> None:
    """Say that the next step begins, and who acts in it; see `Simulation.step`."""
    run = simulation()
    ahead = [_names(agents) for agents in upcoming]
    run.step(run.epoch + 1, _names(active), order=_names(order), upcoming=ahead)


@harmless
def foresee(distances: Mapping[AgentId, float]) -> None:
    """Say in how many steps agents act that do not in this one."""
    from scalesim.integrations.agent_names import agent_name

    known = {name: ahead for agent, ahead in distances.items() if (name := agent_name(agent))}
    simulation().distances(list(known), list(known.values()))


@harmless
def act_at_rates(chances: Mapping[AgentId, float]) -> None:
    """Say with which chance agents act in any step, where nothing better is known of it."""
    run = simulation()
    for agent, chance in chances.items():
        for name in _names([agent]):
            run.rate(name, chance)  # by default an hour is a step


@harmless
def pin(*agents: AgentId) -> None:
    """Keep agents that all others wait for on the device."""
    simulation().pin(*_names(agents))


def _names(agents: Iterable[AgentId]) -> list[str]:
    from scalesim.integrations.agent_names import agent_name

    return [name for agent in agents if (name := agent_name(agent))]


def start_over_in_fork() -> None:
    """Start over in a forked child, whose copy of the sending thread does not run."""
    global _simulation, _lock
    if _simulation is not None:
        import atexit

        atexit.unregister(_simulation.close)  # its lock may be held by a thread that is not here
    _simulation, _lock = None, Lock()


os.register_at_fork(after_in_child=start_over_in_fork)

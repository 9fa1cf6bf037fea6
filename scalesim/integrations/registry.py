"""Which file is for which library, and of which versions it knows the insides."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import re
from functools import cache, partial
from types import ModuleType
from typing import NamedTuple

from scalesim.integrations import workers
from scalesim.integrations.faults import harmless
from scalesim.integrations.import_hooks import when_imported

_logger = logging.getLogger("scalesim")

Version = tuple[int, ...]


class Integration(NamedTuple):
    """One library that a file here knows.

    Attributes:
        module: Imported module that is patched.
        file: Module of this package.
        function: In it, called with the imported module.
        distribution: Name on the package index; empty where versions do not matter.
        since: First version whose insides are known.
        before: First version whose insides are not known.
    """

    module: str
    file: str
    function: str = "install"
    distribution: str = ""
    since: Version = ()
    before: Version = ()


CLIENTS = (
    Integration("httpx", "httpx"),
    Integration("httpx2", "httpx"),
    Integration("requests", "requests"),
    Integration("aiohttp", "aiohttp"),
)
"""How requests leave a process: all that names who calls."""

WORKERS = (Integration("ray.remote_function", "ray_tasks", "install", "ray", (2,), (3,)),)
"""How work leaves a process: what does not change with a library's version is in `workers`."""


def _of(
    distribution: str, since: Version, before: Version, file: str, **modules: str
) -> tuple[Integration, ...]:
    """Return the places of one framework: in which module what is installed."""
    return tuple(
        Integration(module, file, function, distribution, since, before)
        for function, module in modules.items()
    )


FRAMEWORKS = (
    *_of("mesa", (3,), (4,), "mesa", install="mesa.agent"),
    *_of(
        "mesa-llm",
        (0, 1),
        (0, 3),
        "mesa_llm",
        install_models="mesa_llm.module_llm",
        install_agents="mesa_llm.llm_agent",
        install_memories="mesa_llm.memory.memory",
        install_steps="mesa_llm.parallel_stepping",
    ),
    *_of(
        "camel-ai",
        (0, 2, 70),
        (0, 3),
        "camel",
        install="camel.agents.chat_agent",
        install_role_playing="camel.societies.role_playing",
    ),
    *_of(
        "camel-oasis",
        (0, 2),
        (0, 3),
        "oasis",
        install="oasis.environment.env",
        install_agents="oasis.social_agent.agent",
    ),
    *_of(
        "agentscope",
        (2,),
        (3,),
        "agentscope",
        install="agentscope.agent._agent",
        install_teams="agentscope.pipeline._team_pipeline",
        install_goals="agentscope.pipeline._goal_pipeline",
    ),
    *_of(
        "langgraph",
        (1,),
        (2,),
        "langgraph",
        install_runner="langgraph.pregel._runner",
        install_loop="langgraph.pregel._loop",
    ),
    *_of(
        "autogen-agentchat",
        (0, 7),
        (0, 8),
        "autogen",
        install_agents="autogen_agentchat.agents._base_chat_agent",
        install_assistants="autogen_agentchat.agents._assistant_agent",
        install_participants="autogen_agentchat.teams._group_chat._chat_agent_container",
        install_round_robin="autogen_agentchat.teams._group_chat._round_robin_group_chat",
        install_selector="autogen_agentchat.teams._group_chat._selector_group_chat",
        install_orchestrator="autogen_agentchat.teams._group_chat._magentic_one"
        "._magentic_one_orchestrator",
    ),
    *_of(
        "gdm-concordia",
        (2,),
        (3,),
        "concordia",
        install_entities="concordia.agents.entity_agent",
        install_sequential="concordia.environment.engines.sequential",
        install_simultaneous="concordia.environment.engines.simultaneous",
        install_asynchronous="concordia.environment.engines.asynchronous",
    ),
    *_of(
        "crewai",
        (1,),
        (2,),
        "crewai",
        install_agents="crewai.agent",
        install_tasks="crewai.task",
        install_crews="crewai.crew",
    ),
    *_of(
        "tinytroupe",
        (0, 5),
        (0, 7),
        "tinytroupe",
        install_persons="tinytroupe.agent.tiny_person",
        install_worlds="tinytroupe.environment.tiny_world",
    ),
    *_of(
        "agentsociety2",
        (2, 9),
        (3,),
        "agentsociety",
        install_agents="agentsociety2.agent.base.agent",
        install_persons="agentsociety2.agent.person",
        install_routers="agentsociety2.env.router_base",
        install_helpers="agentsociety2.society.helper",
        install_societies="agentsociety2.society.society",
    ),
    Integration("persona.persona", "generative_agents"),  # a clone: it has no version
)
"""Who acts, and in which order, by the framework's own objects."""

_FACES = {"langgraph": "langgraph.graph"}
"""The module that programs import, of packages whose own top level is never executed."""


@cache
def install_all() -> None:
    """Patch what is imported, and the rest once it is; a second call does nothing."""
    workers.install_threads()
    when_imported("concurrent.futures.thread", harmless(workers.install_executors))
    when_imported("concurrent.futures.process", harmless(workers.install_executors))
    when_imported("multiprocessing.process", harmless(workers.install_processes))
    when_imported("multiprocessing.pool", harmless(workers.install_pools))
    for integration in (*CLIENTS, *WORKERS, *FRAMEWORKS):
        when_imported(integration.module, harmless(partial(install, integration)))
    for integration in {one.distribution: one for one in FRAMEWORKS if one.distribution}.values():
        when_imported(face(integration), harmless(partial(warn_of_other, integration)))


def install(integration: Integration, module: ModuleType) -> None:
    """Patch the module of a library whose installed version is known here; leave others alone."""
    if is_known(integration.distribution, integration.since, integration.before):
        file = importlib.import_module(f"scalesim.integrations.{integration.file}")
        getattr(file, integration.function)(module)


def face(integration: Integration) -> str:
    """Return what programs import of a framework in all its versions, known here or not."""
    top = integration.module.partition(".")[0]
    return _FACES.get(top, top)


def warn_of_other(integration: Integration, module: ModuleType) -> None:
    """Warn of a version that may have none of the modules known here, so that no hook is called.

    What was not installed may be anything of that name.
    """
    if installed_version(integration.distribution):
        is_known(integration.distribution, integration.since, integration.before)


@cache
def installed_version(distribution: str) -> str:
    """Return the version of a package; empty where it was not installed as one."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def is_known(distribution: str, since: Version, before: Version) -> bool:
    """Return whether a package is of a known version; warn once of one that is not."""
    if not distribution:
        return True
    text = installed_version(distribution)
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    if since <= version < before:
        return True
    _logger.warning(
        "%s %s is not one that scalesim knows (%s to before %s): its agents are not distinguished. "
        "Use `with scalesim.agent(name):` around their calls, or the header X-Agent-Id",
        distribution,
        text or "of an unknown version",
        *(".".join(map(str, bound)) for bound in (since, before)),
    )
    return False

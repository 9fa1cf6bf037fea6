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
        file: Module of this package with `install(module)`.
        distribution: Name on the package index; empty where versions do not matter.
        since: First version whose insides are known.
        before: First version whose insides are not known.
    """

    module: str
    file: str
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

FRAMEWORKS: tuple[Integration, ...] = ()
"""Who acts, and in which order, by the framework's own objects."""


@cache
def install_all() -> None:
    """Patch what is imported, and the rest once it is; a second call does nothing."""
    workers.install_threads()
    when_imported("concurrent.futures.thread", harmless(workers.install_executors))
    when_imported("concurrent.futures.process", harmless(workers.install_executors))
    when_imported("multiprocessing.process", harmless(workers.install_processes))
    when_imported("multiprocessing.pool", harmless(workers.install_pools))
    for integration in (*CLIENTS, *FRAMEWORKS):
        when_imported(integration.module, harmless(partial(_install, integration)))


def _install(integration: Integration, module: ModuleType) -> None:
    if _is_known(integration):
        file = importlib.import_module(f"scalesim.integrations.{integration.file}")
        file.install(module)


def _is_known(integration: Integration) -> bool:
    if not integration.distribution:
        return True
    try:
        text = importlib.metadata.version(integration.distribution)
    except importlib.metadata.PackageNotFoundError:
        text = "of an unknown version"
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    if integration.since <= version < integration.before:
        return True
    since, before = (".".join(map(str, v)) for v in (integration.since, integration.before))
    _logger.warning(
        "%s %s is not one that scalesim knows (%s to before %s): its agents are not told apart. "
        "Use `with scalesim.agent(name):` around their calls, or the header X-Agent-Id",
        integration.distribution,
        text,
        since,
        before,
    )
    return False

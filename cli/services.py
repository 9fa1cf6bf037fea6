"""Checks of `scalesim doctor` on SGLang's hooks and on Redis."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points

from scalesim.cli.finding import Check
from scalesim.errors import ScaleSimError
from scalesim.settings import CatalogSettings

MAX_SKEW_S = 5.0
"""Leases and fencing numbers of two machines are compared by their clocks."""

HOOKS_S = 400.0
"""Longest that the import of SGLang may take."""

LOOK_AT_HOOKS = """
from importlib import import_module
from scalesim.deployments.engine import boot
from scalesim.deployments.engine.sglang import hooks
for target in hooks._HOOKS:
    module, cls, method = target.rsplit(".", 2)
    getattr(getattr(import_module(module), cls), method)
"""
"""Code that is run in a process of its own: SGLang takes seconds to import and changes its
process."""


def hook_checks() -> Iterator[Check]:
    """Check our plugin and every hook in SGLang that it uses."""
    registered = any(point.name == "scalesim" for point in entry_points(group="sglang.srt.plugins"))
    if not registered:
        yield Check("hooks", False, "SGLang does not know our plugin", "pip install scalesim-serve")
        return
    command = [sys.executable, "-X", "utf8", "-c", LOOK_AT_HOOKS]  # as engines are started
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HOOKS_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        found = f"SGLang was not imported within {HOOKS_S:.0f} s"
        yield Check("hooks", False, found, "look again while this machine is less busy")
        return
    fault = done.stderr.strip().rpartition("\n")[2]
    advice = "install the versions named above; other ones lack what our hooks take hold of"
    found = "every place in SGLang is there" if not done.returncode else fault[:200]
    yield Check("hooks", not done.returncode, found, advice)


def redis_checks(catalog: CatalogSettings) -> Iterator[Check]:
    """Check the catalog's server: the one of the settings, or an embedded one, just started."""
    url = catalog.url.get_secret_value()
    if url:
        yield from _server_checks(catalog)
        return
    try:
        from scalesim.controller.catalog.embedded import serving

        with serving(catalog) as embedded:
            found = f"embedded server: {_answer(embedded)[0]}"
            yield Check("redis", True, found)
    except (ImportError, OSError, ScaleSimError) as error:
        advice = "pip install 'scalesim-serve[serve]', or name a server: catalog.url in --config"
        yield Check("redis", False, f"embedded server: {error}", advice)


def _server_checks(catalog: CatalogSettings) -> Iterator[Check]:
    try:
        found, skew_s = _answer(catalog)
    except ScaleSimError as error:
        advice = (
            "start the server of catalog.url or correct it; the password may come from "
            "SCALESIM_CATALOG_PASSWORD"
        )
        yield Check("redis", False, str(error), advice)
        return
    yield Check("redis", True, found)
    advice = "let both machines follow a time server, e.g. chrony"
    yield Check("clock of redis", abs(skew_s) < MAX_SKEW_S, f"{skew_s:+.1f} s from ours", advice)


def _answer(catalog: CatalogSettings) -> tuple[str, float]:
    """Return a server's version and round trip in words, and by how much its clock is ahead.

    Does once all that a controller does with it: a server that answers may still lack rights.

    Raises:
        ScaleSimError: A controller could not keep its catalog there.
    """
    import redis

    from scalesim.controller.catalog.access_check import rehearse
    from scalesim.controller.catalog.password_file import without_password

    rehearse(catalog)
    url, timeout_s = catalog.url.get_secret_value().strip(), catalog.timeout_s
    provider = None
    if catalog.password_file is not None:
        url, provider = without_password(url, catalog.password_file)
    client = redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        credential_provider=provider,
    )
    with client:
        try:
            began = time.perf_counter()
            seconds, micros = client.time()
            took_s = time.perf_counter() - began
            info = client.info("server")
        except redis.RedisError:  # not among a controller's rights
            return "written to and read", 0.0
    name = "Valkey" if "valkey_version" in info else "Redis"
    number = info.get("valkey_version") or info["redis_version"]
    found = f"{name} {number}, written to and read, {took_s * 1e3:.1f} ms"
    return found, seconds + micros / 1e6 - time.time()

"""The environment: the only module that reads it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from scalesim.errors import ConfigurationError
from scalesim.identity import DEFAULT_SIMULATION
from scalesim.integrations.client_variables import client_variables
from scalesim.proxies import without_proxy_here
from scalesim.settings import (
    ApiKeySettings,
    ClientSettings,
    EmulationSettings,
    ModelSettings,
    StackSettings,
    load,
)

_logger = logging.getLogger(__name__)

BASE_URL = "SCALESIM_BASE_URL"
"""Where the stack listens, for the client library and the command line."""

API_KEY = "SCALESIM_API_KEY"
"""The ingress' key: a stack takes it as `ingress.api_key`, clients send it as a bearer token."""

SIMULATION = "SCALESIM_SIMULATION"
"""Simulation of a program's agents under `scalesim run`, which sets it, and `scalesim.auto`."""

API_KEYS = "SCALESIM_API_KEYS"
"""Keys of `ingress.api_keys`, as a JSON object by name: keeps them out of files."""

EMBEDDINGS_API_KEY = "SCALESIM_EMBEDDINGS_API_KEY"
"""Key of the server that `ingress.embeddings.url` names."""

CATALOG_PASSWORD = "SCALESIM_CATALOG_PASSWORD"  # noqa: S105 - a name
"""Password of the server that `catalog.url` names."""

PYTHONPATH = "PYTHONPATH"
"""Folders that Python looks into first; `scalesim run` puts one in front."""

RAY_ADDRESS = "RAY_ADDRESS"
"""Set by Ray in its jobs: a simulation that finds it runs in that cluster."""

RAY_JOB_SERVER = "RAY_API_SERVER_ADDRESS"
"""Where Ray's clients submit jobs: they prefer it to RAY_ADDRESS and to their arguments."""

PODS = "SCALESIM_PODS"
"""Set by the chart: which template its pods are of."""

CUDA_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
"""GPUs that this process may use, set by Ray in its workers."""

CACHE_HOME = "XDG_CACHE_HOME"
"""Where a user's caches are; `~/.cache` without it. Models of the package index are kept there."""

ENGINE_CHANNEL = "SCALESIM_ENGINE_CHANNEL"
"""Set by a replica for its own engine processes: address of the socket between them."""

ENGINE_LAST_WORDS = "SCALESIM_ENGINE_LAST_WORDS"
"""Set by a replica for its own engine processes: file that a crashing scheduler writes to."""

ENGINE_MODELS = "SCALESIM_ENGINE_MODELS"
"""Set by a replica for its own engine processes: `ModelSettings` as JSON."""

ENGINE_EMULATION = "SCALESIM_ENGINE_EMULATION"
"""Set by a replica for its own engine processes: `EmulationSettings` as JSON."""

ENGINE_PAYLOADS = "SCALESIM_ENGINE_PAYLOADS"
"""Set by a replica for its own engine processes: `EngineSettings.payloads` as JSON."""

ENGINE_STORAGE_BYTES = "SCALESIM_ENGINE_STORAGE_BYTES"
"""Set by a replica for its own engine processes: `EngineSettings.storage_bytes`."""


_SITE = Path(__file__).parent / "integrations" / "site"


def client_from_env() -> ClientSettings:
    """Return client settings from SCALESIM_BASE_URL and SCALESIM_API_KEY where set."""
    names = {"base_url": BASE_URL, "api_key": API_KEY}
    values = {field: _line(name) for field, name in names.items() if name in os.environ}
    settings: ClientSettings = load(ClientSettings, values)
    return settings


def simulation_from_env() -> str:
    """Return SCALESIM_SIMULATION, or the default simulation."""
    return os.environ.get(SIMULATION) or DEFAULT_SIMULATION


def point_clients_to_stack() -> None:
    """Set the variables by which OpenAI clients and frameworks find the stack of SCALESIM_BASE_URL.

    Under `scalesim run` they are set, also for a child process that changed them on purpose.
    """
    if SIMULATION not in os.environ:
        settings = client_from_env()
        key = settings.api_key.get_secret_value()
        os.environ.update(client_variables(settings.base_url, key, os.environ))


def environment_of_program(settings: ClientSettings, simulation: str) -> dict[str, str]:
    """Return the environment of a program whose clients are to call the stack.

    Args:
        settings: Where the stack is.
        simulation: Simulation of the program's agents.
    """
    key = settings.api_key.get_secret_value()
    own = {BASE_URL: settings.base_url, SIMULATION: simulation} | ({API_KEY: key} if key else {})
    own[PYTHONPATH] = os.pathsep.join(filter(None, [str(_SITE), os.environ.get(PYTHONPATH)]))
    return {**os.environ, **own, **client_variables(settings.base_url, key, os.environ)}


def keys_in_env() -> set[str]:
    """Return the values of all variables that are named like keys of a model's server."""
    names = ("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_ACCESS_KEY")
    return {value for name, value in os.environ.items() if name.upper().endswith(names)}


def ray_address_from_env() -> str | None:
    """Return RAY_ADDRESS, which Ray sets in its jobs, or None where it is not set."""
    return os.environ.get(RAY_ADDRESS) or None


def ray_job_server_from_env() -> str | None:
    """Return what Ray's own clients would submit jobs to, or None where nothing is set."""
    return os.environ.get(RAY_JOB_SERVER) or ray_address_from_env()


@contextmanager
def as_ray_job_server(url: str) -> Iterator[None]:
    """Have Ray's clients in this process submit jobs to `url`, whatever the environment says.

    Nor do they take a proxy to this machine meanwhile.
    """
    variables = {RAY_JOB_SERVER: url} | without_proxy_here(os.environ)
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def pods_from_env() -> str | None:
    """Return which template this pod is of, or None outside of the chart."""
    return os.environ.get(PODS) or None


def cache_folder_from_env() -> Path:
    """Return the folder of what can be fetched again."""
    return Path(os.environ.get(CACHE_HOME) or Path.home() / ".cache") / "scalesim"


def with_secrets_from_env(settings: StackSettings) -> StackSettings:
    """Return stack settings with the secrets that manifests keep out of their arguments.

    SCALESIM_API_KEY is the ingress' key, SCALESIM_API_KEYS has those of `ingress.api_keys`,
    SCALESIM_EMBEDDINGS_API_KEY is for the server of embeddings, SCALESIM_CATALOG_PASSWORD goes into
    the catalog's URL. The embedded server, which other users cannot reach, takes none; that is
    logged.

    Raises:
        ConfigurationError: SCALESIM_API_KEYS is not a JSON object of keys that the settings name.
    """
    ingress, catalog = settings.ingress, settings.catalog
    if key := _line(API_KEY):
        ingress = ingress.model_copy(update={"api_key": SecretStr(key)})
    if keys := _line(API_KEYS):
        ingress = ingress.model_copy(update={"api_keys": _with_keys(ingress.api_keys, keys)})
    if ingress.embeddings and (key := _line(EMBEDDINGS_API_KEY)):
        server = ingress.embeddings.model_copy(update={"api_key": SecretStr(key)})
        ingress = ingress.model_copy(update={"embeddings": server})
    if password := _line(CATALOG_PASSWORD):
        if url := catalog.url.get_secret_value().strip():
            url = _with_password(url, password)
            catalog = catalog.model_copy(update={"url": SecretStr(url)})
        else:
            _logger.warning(
                "SCALESIM_CATALOG_PASSWORD is not used: catalog.url is empty, and the embedded "
                "server needs no password. Name the server that the password is for"
            )
    return settings.model_copy(update={"ingress": ingress, "catalog": catalog})


def _with_keys(settings: dict[str, ApiKeySettings], text: str) -> dict[str, ApiKeySettings]:
    try:
        keys = json.loads(text)
    except ValueError:
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise ConfigurationError(
            f'{API_KEYS} is not a JSON object of keys: set it to e.g. {{"town": "KEY"}}'
        )
    for name in keys.keys() - settings.keys():
        raise ConfigurationError(
            f"{API_KEYS} has a key for {name!r}, ingress.api_keys has no such name: add it there, "
            "with its simulations"
        )
    return settings | {
        name: settings[name].model_copy(update={"key": SecretStr(key)})
        for name, key in keys.items()
    }


def _line(name: str) -> str:
    """Return a variable's value without the end of line that files of secrets often have."""
    return os.environ.get(name, "").rstrip("\r\n")


def _with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    user, at, server = rest.rpartition("@")
    return f"{scheme}://{user if at else ''}:{quote(password, safe='')}@{server}"


def visible_gpus_from_env() -> str | None:
    """Return CUDA_VISIBLE_DEVICES, which Ray sets in its workers, or None where it is not set."""
    return os.environ.get(CUDA_VISIBLE_DEVICES)


def engine_channel_from_env() -> str | None:
    """Return the address a replica gave its engine, or None outside one."""
    return os.environ.get(ENGINE_CHANNEL) or None


def engine_last_words_from_env() -> str | None:
    """Return where a crashing scheduler writes what it worked on, or None outside a replica."""
    return os.environ.get(ENGINE_LAST_WORDS) or None


def engine_models_from_env() -> ModelSettings | None:
    """Return which models a replica's engine may load, or None for its own only."""
    document = os.environ.get(ENGINE_MODELS)
    return ModelSettings.model_validate_json(document) if document else None


def engine_emulation_from_env() -> EmulationSettings | None:
    """Return which device a replica's engine emulates, or None for its own."""
    document = os.environ.get(ENGINE_EMULATION)
    return EmulationSettings.model_validate_json(document) if document else None


def engine_payloads_from_env() -> dict[str, dict[str, Any]]:
    """Return settings of payload kinds from outside, by kind."""
    document = os.environ.get(ENGINE_PAYLOADS)
    return dict(json.loads(document)) if document else {}


def engine_storage_bytes_from_env() -> int:
    """Return how many bytes of a storage backend a replica's engine remembers."""
    return int(os.environ[ENGINE_STORAGE_BYTES])

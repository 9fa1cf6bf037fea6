"""`scalesim config`: a stack's settings as `serve deploy` and KubeRay take them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import yaml

from scalesim.cli.up import read_config
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings, load

app = typer.Typer()


@app.command()
def config(
    file: Annotated[Path, typer.Argument(help="YAML file with the stack's settings")],
) -> None:
    """Print the file that `serve deploy` takes, on stdout.

    The number of engines stands beside the application's arguments: what is changed there scales
    and restarts nothing. Secrets come from the environment of the cluster's nodes.
    """
    typer.echo(yaml.safe_dump(serve_config(read_config(file)), sort_keys=False), nl=False)


def serve_config(values: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of Serve for a stack.

    Args:
        values: `StackSettings` as plain values.

    Raises:
        ConfigurationError: They cannot work, or hold a secret.
    """
    from scalesim.deployments.app import APPLICATION
    from scalesim.deployments.stack import DEPLOYED_APP, scaling

    settings: StackSettings = load(StackSettings, values)
    ingress = settings.ingress
    keys = [ingress.api_key, *(each.key for each in ingress.api_keys.values())]
    keys += [ingress.embeddings.api_key] if ingress.embeddings else []
    if any(key.get_secret_value() for key in keys):
        raise ConfigurationError(
            "ingress has keys, which would be readable to all who may see the cluster's state: "
            "leave them out and set SCALESIM_API_KEY, SCALESIM_API_KEYS or "
            "SCALESIM_EMBEDDINGS_API_KEY on every node before Ray is started"
        )
    if urlsplit(settings.catalog.url.get_secret_value()).password:
        raise ConfigurationError(
            "catalog.url has a password, which would be readable likewise: leave it out and set "
            "SCALESIM_CATALOG_PASSWORD on every node before Ray is started"
        )
    if not settings.catalog.url.get_secret_value() and settings.engine.arm == "scalesim":
        raise ConfigurationError(
            "catalog.url is empty: name a Redis or Valkey that every node reaches; its password "
            "comes from SCALESIM_CATALOG_PASSWORD on every node"
        )
    beside = {"replicas", "autoscaling", "max_ongoing_requests", "engines_per_machine"}
    most = settings.engines_per_machine
    arguments = {name: value for name, value in values.items() if name not in beside}
    if most is not None:
        arguments["engines_per_machine"] = most
    options = {name: value for name, value in scaling(settings).items() if value is not None}
    options["max_ongoing_requests"] = settings.max_ongoing_requests
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.ingress.host, "port": settings.ingress.port},
        "applications": [
            {
                "name": DEPLOYED_APP,
                "route_prefix": "/",
                "import_path": APPLICATION,
                "deployments": [{"name": "Replica", **options}],
                "args": arguments,
            }
        ],
    }

"""`scalesim config`: what `serve deploy` is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve._private.deploy_utils import get_app_code_version
from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema
from typer.testing import CliRunner

from scalesim.cli.config import app, serve_config
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings, load

VALUES: dict[str, Any] = {
    "engine": {"model_path": "/models/m", "tp_size": 2},
    "catalog": {"url": "redis://redis:6379/0"},
    "ingress": {"host": "0.0.0.0", "port": 8000},
}


def printed(tmp_path: Path, **more: Any) -> dict[str, Any]:
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(VALUES | more))
    done = CliRunner().invoke(app, [str(file)], catch_exceptions=False)
    return dict(yaml.safe_load(done.stdout))


def test_serve_takes_it_and_the_application_is_the_stack(tmp_path: Path) -> None:
    found = printed(tmp_path, replicas=3, max_ongoing_requests=64)
    ServeDeploySchema.model_validate(found)
    assert found["http_options"] == {"host": "0.0.0.0", "port": 8000}
    (application,) = found["applications"]
    assert load(StackSettings, application["args"]).engine.tp_size == 2
    assert application["deployments"] == [
        {"name": "Replica", "num_replicas": 3, "max_ongoing_requests": 64}
    ]


def test_more_engines_are_no_other_code(tmp_path: Path) -> None:
    versions = {
        get_app_code_version(ServeApplicationSchema(**printed(tmp_path, **more)["applications"][0]))
        for more in ({}, {"replicas": 3}, {"max_ongoing_requests": 9})
    }
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"catalog": {}}, "catalog.url is empty"),
        ({"ingress": {"host": "0.0.0.0", "api_key": "k"}}, "SCALESIM_API_KEY"),
        (
            {"ingress": {"embeddings": {"url": "http://e/v1", "api_key": "k"}}},
            "SCALESIM_EMBEDDINGS_API_KEY",
        ),
        ({"catalog": {"url": "redis://:secret@redis:6379/0"}}, "SCALESIM_CATALOG_PASSWORD"),
        ({"replicas": 0}, "replicas"),
    ],
)
def test_what_could_not_work_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        serve_config(VALUES | more)

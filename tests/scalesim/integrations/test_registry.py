"""Which versions of a library are patched."""

import logging
from functools import partial
from types import ModuleType

import pytest

from scalesim.integrations import registry
from scalesim.integrations.client_variables import client_variables
from scalesim.integrations.faults import harmless
from scalesim.integrations.registry import Integration


def test_every_file_that_is_named_can_be_loaded_without_its_library() -> None:
    import importlib

    for integration in (*registry.CLIENTS, *registry.WORKERS, *registry.FRAMEWORKS):
        file = importlib.import_module(f"scalesim.integrations.{integration.file}")
        assert callable(getattr(file, integration.function))


@pytest.mark.parametrize(
    ("version", "is_known"),
    [("1.9.9", False), ("2.0", True), ("2.5.1rc1", True), ("3.0.0", False), (None, False)],
)
def test_an_unknown_version_is_warned_of_and_left_alone(
    version: str | None,
    is_known: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def find(name: str) -> str:
        if version is None:
            raise registry.importlib.metadata.PackageNotFoundError(name)  # type: ignore[attr-defined]
        return version

    monkeypatch.setattr("importlib.metadata.version", find)
    installed: list[ModuleType] = []
    monkeypatch.setattr("scalesim.integrations.httpx.install", installed.append)
    integration = Integration("mesa", "httpx", distribution="mesa", since=(2,), before=(3,))
    with caplog.at_level(logging.WARNING):
        registry.install(integration, registry)
    assert bool(installed) == is_known
    assert ("X-Agent-Id" in caplog.text) != is_known


def test_a_library_that_is_not_as_expected_is_logged_and_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    install = harmless(partial(registry.install, Integration("requests", "requests")))
    with caplog.at_level(logging.WARNING):
        install(ModuleType("without_a_session"))
    assert "registry.install failed and is off" in caplog.text


def test_clients_find_the_stack_and_no_proxy_is_between() -> None:
    variables = client_variables("http://127.0.0.1:8080/", "key", {"NO_PROXY": "example.org"})
    assert variables["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/v1"
    assert variables["OPENAI_API_KEY"] == "key"
    assert variables["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert client_variables("http://stack", "", {})["OPENAI_API_KEY"] == "-"

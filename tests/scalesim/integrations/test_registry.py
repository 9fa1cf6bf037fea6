"""Which versions of a library are patched."""

import importlib
import importlib.metadata
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import pytest

from scalesim.integrations import registry
from scalesim.integrations.client_variables import client_variables
from scalesim.integrations.faults import harmless
from scalesim.integrations.registry import Integration


@pytest.fixture(autouse=True)
def looked_up_anew() -> Iterator[None]:
    yield
    registry.installed_version.cache_clear()
    registry.is_known.cache_clear()


def test_every_file_that_is_named_can_be_loaded_without_its_library() -> None:
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
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr("importlib.metadata.version", find)
    registry.installed_version.cache_clear()
    registry.is_known.cache_clear()
    installed: list[ModuleType] = []
    monkeypatch.setattr("scalesim.integrations.httpx.install", installed.append)
    integration = Integration("mesa", "httpx", distribution="mesa", since=(2,), before=(3,))
    with caplog.at_level(logging.WARNING):
        registry.install(integration, registry)
    assert bool(installed) == is_known
    assert ("X-Agent-Id" in caplog.text) != is_known


def test_a_version_without_the_modules_known_here_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hooks: dict[str, list[Callable[[ModuleType], None]]] = {}

    def note(name: str, hook: Callable[[ModuleType], None]) -> None:
        hooks.setdefault(name, []).append(hook)

    def find(name: str) -> str:
        if name in ("langgraph", "agentscope"):
            return "0.6.11"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(registry, "when_imported", note)
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)  # is patched
    monkeypatch.setattr("importlib.metadata.version", find)
    registry.install_all.__wrapped__()
    for _ in range(2):
        for name in ("langgraph.graph", "agentscope", "camel"):  # `camel` is the program's own
            for hook in hooks[name]:
                hook(ModuleType(name))
    assert [record.args[0] for record in caplog.records] == ["langgraph", "agentscope"]  # type: ignore[index]


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
    for kind in ("LLM", "NANO_LLM", "CODER_LLM"):
        assert variables[f"AGENTSOCIETY_{kind}_API_BASE"] == "http://127.0.0.1:8080/v1"
        assert variables[f"AGENTSOCIETY_{kind}_API_KEY"] == "key"
    assert variables["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert client_variables("http://stack", "", {})["OPENAI_API_KEY"] == "-"

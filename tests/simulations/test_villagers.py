"""The villagers of the demo, with a stand-in for their model."""

from pathlib import Path

import pytest

from scalesim.deployments import smollm2
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings
from scalesim.simulations import villagers
from tests.support.driver_worlds import HashModel
from tests.support.fake_stack import FakeStack


def test_all_they_say_is_shown() -> None:
    lines: list[str] = []
    said = villagers.talk(HashModel, None, lines.append)
    assert len(lines) == said > 10
    assert len({line.partition(":")[0] for line in lines}) > 2


def test_on_a_stack_each_asks_as_who_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack, started = FakeStack(), []

    def start(settings: StackSettings) -> FakeStack:
        started.append(settings)
        return stack

    monkeypatch.setattr("scalesim.deployments.stack.Stack", start)
    monkeypatch.setattr(smollm2, "build", lambda: tmp_path)
    lines: list[str] = []
    villagers.main(lines.append)
    assert [settings.engine.model_path for settings in started] == [str(tmp_path)]
    agents = {agent for agent, _ in stack.callers}
    assert {line.strip().partition(":")[0] for line in lines[1:-1]} == agents
    assert len(lines) - 2 == len(stack.callers) > 10
    assert any(path.endswith("/distances") for path, _ in stack.received)


def test_without_a_model_they_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network() -> None:
        raise ConfigurationError("it could not be fetched")

    monkeypatch.setattr(smollm2, "build", no_network)
    lines: list[str] = []
    villagers.main(lines.append)
    assert [line.endswith("it could not be fetched") for line in lines] == [True]

"""The villagers of the demo, with a stand-in for their model."""

import pytest

from scalesim.deployments import smollm2
from scalesim.errors import ConfigurationError
from scalesim.simulations import villagers
from tests.support.driver_worlds import HashModel


def test_all_they_say_is_shown() -> None:
    lines: list[str] = []
    said = villagers.talk(HashModel, None, lines.append)
    assert len(lines) == said > 10
    assert len({line.partition(":")[0] for line in lines}) > 2


def test_without_a_model_they_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network() -> None:
        raise ConfigurationError("it could not be fetched")

    monkeypatch.setattr(smollm2, "build", no_network)
    lines: list[str] = []
    villagers.main(lines.append)
    assert [line.endswith("it could not be fetched") for line in lines] == [True]

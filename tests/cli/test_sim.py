"""`scalesim sim run`: what cannot work is refused before anything starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalesim.cli.sim import app
from scalesim.errors import ConfigurationError


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["run", *arguments])
    assert isinstance(result.exception, ConfigurationError)
    return str(result.exception)


def test_unknown_simulation_and_arm() -> None:
    assert "use FILE.py:CLASS, society, trace" in refused("village")
    assert "use some of stock, hicache, scalesim" in refused("society", "--arms", "stock,fast")


def test_options_of_the_other_simulation_are_refused(tmp_path: Path) -> None:
    trace = tmp_path / "t.jsonl"
    trace.write_text('{"step": 0, "agent": "a"}\n')
    assert "`trace` needs --trace FILE" in refused("trace")
    assert "no --trace" in refused("society", "--trace", str(trace))
    assert "takes its agents from there" in refused("trace", "--trace", str(trace), "--agents", "3")


@pytest.mark.parametrize("share", ["0.01", "-1"])
def test_a_device_too_small_for_a_call_is_refused(share: str, tmp_path: Path) -> None:
    message = refused("society", "--device-share", share, "--model", str(tmp_path))
    assert "but one call needs" in message

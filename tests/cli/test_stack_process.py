"""`scalesim run --model`: a stack of its own, started before the program and ended after it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalesim.cli import run
from scalesim.cli.stack_process import StackProcess
from scalesim.errors import UnavailableError
from tests.support.fake_stack import FakeStack

UP = """#!{python}
import json, pathlib, signal, sys

def end(*_):
    pathlib.Path({noted!r}).write_text(json.dumps([sys.argv[1:], config, "ended"]))
    sys.exit()

signal.signal(signal.SIGTERM, end)
config = json.loads(pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
print(json.dumps({said}, indent=1), flush=True)
signal.pause()
"""


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    return tmp_path / "noted.json"


def stand_in(tmp_path: Path, noted: Path, said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program in the place of the Python that starts stacks."""
    script = tmp_path / "python"
    script.write_text(UP.format(python=sys.executable, noted=str(noted), said=said))
    script.chmod(0o755)
    monkeypatch.setattr("scalesim.cli.stack_process.sys.executable", str(script))


def test_a_program_has_a_stack_for_as_long_as_it_runs(
    tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALESIM_BASE_URL", "http://127.0.0.1:9")
    with FakeStack() as stack:
        stand_in(tmp_path, noted, {"base_url": stack.base_url}, monkeypatch)
        words = ["--model", "smollm2", "--simulation", "town", "--out", str(tmp_path), "--", "true"]
        result = CliRunner().invoke(run.app, words)
        assert result.exit_code == 0, result.output
        assert ("/v1/simulations/town", None) in stack.received
    words, config, ended = json.loads(noted.read_text())
    assert " ".join(words[2:-1]) == "up --json --port 0 --model smollm2 --config"
    assert config == {"ingress": {"model_aliases": {"*": "scalesim"}}}
    assert ended == "ended"
    assert not Path(words[-1]).exists()


def test_why_it_did_not_start_is_said(
    tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, noted, {"error": {"message": "no such model"}}, monkeypatch)
    with pytest.raises(UnavailableError, match="no such model"), StackProcess("none", None):
        pass
    assert json.loads(noted.read_text())[-1] == "ended"

"""The command line: every verb is listed, none breaks another, errors are one message."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

import scalesim
from scalesim.cli import main as command
from scalesim.errors import InvalidRequestError

RunCli = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> RunCli:
    """Return a function that runs `scalesim ARGS` in this process and returns its exit code."""

    def scalesim(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["scalesim", *arguments])
        with pytest.raises(SystemExit) as end:
            command.main()
        return int(end.value.code or 0)

    return scalesim


def test_help_lists_every_verb() -> None:
    shown = CliRunner().invoke(command.app, ["--help"])
    assert shown.exit_code == 0
    assert all(f" {verb} " in shown.output for verb in command.VERBS)


def test_it_says_its_version() -> None:
    shown = CliRunner().invoke(command.app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"scalesim {scalesim.__version__}\n")


def test_a_shell_without_utf8_is_shown_what_it_can() -> None:
    code = "from scalesim.cli.main import main; main()"
    shell = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C"}
    shown = subprocess.run(
        [sys.executable, "-c", code, "replay", "--help"], env=shell, capture_output=True
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"\\u" in shown.stdout


def test_an_unknown_verb_is_refused(run: RunCli, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nothing") == 2
    assert "No such command" in capsys.readouterr().err


def test_a_verb_that_cannot_be_loaded_says_what_to_install(
    run: RunCli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(command.VERBS, "absent", "Not there.")
    assert run("absent", "--any", "thing") == 1
    assert "pip install 'scalesim-serve[serve,sim]'" in " ".join(capsys.readouterr().err.split())


def test_json_errors_are_one_document(run: RunCli, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--base-url", "http://127.0.0.1:9", "--json") == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "controller_unavailable"
    assert error["retryable"] is True
    assert "check the base URL" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "nothing"),
        (["status", "--bogus"], "--bogus"),
        (["up", "--port", "x"], "--port"),
    ],
)
def test_json_errors_of_usage_are_one_document_too(
    run: RunCli, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert run(*arguments, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "invalid_request"
    assert named in error["message"]
    assert "--help" in error["message"]


def test_messages_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.fail(InvalidRequestError("use [bold] brackets"), as_json=False)
    assert "use [bold] brackets" in capsys.readouterr().err

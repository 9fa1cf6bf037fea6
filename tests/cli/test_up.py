"""`scalesim up`: settings from file and flags; a signal stops it."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scalesim.cli import up
from scalesim.deployments.run_folder import RAY_FITS, RunFolder
from scalesim.errors import ConfigurationError
from scalesim.settings import StackSettings


class SignalledStack:
    """Stands in for the stack; a signal comes as soon as it is waited for."""

    started: list[StackSettings]
    base_url = "http://127.0.0.1:1"

    def __init__(self, settings: StackSettings, folder: RunFolder, cluster: str | None) -> None:
        assert folder.path.is_dir()
        assert len(str(folder.path.parent)) <= RAY_FITS
        assert cluster is None
        self.started.append(settings)

    def __enter__(self) -> "SignalledStack":
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class Signalled:
    """A wait that a signal ends."""

    number = signal.SIGTERM

    def __call__(self) -> None:
        os.kill(os.getpid(), self.number)
        signal.pause()


@pytest.fixture
def handled() -> Iterator[None]:
    """Signals as a shell in front has them: behind, it has its programs ignore some."""
    usual = {number: signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGHUP)}
    usual[signal.SIGINT] = signal.default_int_handler  # type: ignore[assignment]
    former = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, handled: None) -> list[StackSettings]:
    SignalledStack.started = []
    monkeypatch.setattr("scalesim.deployments.stack.Stack", SignalledStack)
    monkeypatch.setattr(up, "wait_for_a_signal", Signalled())
    return SignalledStack.started


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(up.app, list(arguments))


def test_flags_go_before_the_file(started: list[StackSettings], tmp_path: Path) -> None:
    config = tmp_path / "stack.yaml"
    config.write_text("engine: {model_path: /m, page_size: 32}\nreplicas: 3\n")
    before = signal.getsignal(signal.SIGTERM)
    result = invoke("--config", str(config), "--replicas", "2", "--arm", "hicache", "--json")
    assert result.exit_code == 0
    assert '"base_url": "http://127.0.0.1:1"' in result.output
    (settings,) = started
    assert (settings.replicas, settings.engine.page_size, settings.engine.arm) == (2, 32, "hicache")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("characters", [31, 57, 100])
def test_a_long_path_for_temporary_files_leaves_room_for_ray_s_sockets(
    started: list[StackSettings], monkeypatch: pytest.MonkeyPatch, characters: int
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as short:
        long = Path(short, "x" * (characters - len(short) - 1))
        long.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        assert invoke("--model", "/m").exit_code == 0
    assert len(started) == 1


@pytest.mark.parametrize("text", ["engine: random", "engine: {model_path: m}\ningress: 8080"])
def test_a_section_that_is_none_is_refused_in_words(text: str, tmp_path: Path) -> None:
    config = tmp_path / "stack.yaml"
    config.write_text(text)
    error = invoke("--config", str(config)).exception
    assert isinstance(error, ConfigurationError)
    assert "not a section" in str(error)


def test_the_key_comes_from_the_environment(
    started: list[StackSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALESIM_API_KEY", "secret")
    result = invoke("--model", "/m", "--host", "0.0.0.0")
    assert result.exit_code == 0
    assert "ready at http://127.0.0.1:1" in result.output
    assert started[0].ingress.api_key.get_secret_value() == "secret"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_ends_it_drains_it(
    started: list[StackSettings], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    drained = []

    def drain(stack: SignalledStack, kind: object, *exc: object) -> None:
        os.kill(os.getpid(), number)  # once more for the process, after its group
        drained.append(kind)

    monkeypatch.setattr(Signalled, "number", number)
    monkeypatch.setattr(SignalledStack, "__exit__", drain)
    before = signal.getsignal(number)
    assert invoke("--model", "/m").exit_code == 0
    assert drained == [None]
    assert signal.getsignal(number) is before


def test_a_signal_during_the_start_ends_it(
    started: list[StackSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(stack: SignalledStack) -> SignalledStack:
        os.kill(os.getpid(), signal.SIGHUP)
        return stack

    monkeypatch.setattr(SignalledStack, "__enter__", start)
    assert invoke("--model", "/m").exit_code == 130


def test_what_a_parent_had_ignored_stays_ignored(
    started: list[StackSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(stack: SignalledStack) -> SignalledStack:
        os.kill(os.getpid(), signal.SIGHUP)
        return stack

    monkeypatch.setattr(SignalledStack, "__enter__", start)
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert invoke("--model", "/m").exit_code == 0
    finally:
        signal.signal(signal.SIGHUP, former)


def test_a_second_signal_ends_the_draining(
    started: list[StackSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drain(stack: SignalledStack, *exc: object) -> None:
        raise KeyboardInterrupt  # what the signal does, unless a parent had it ignored

    monkeypatch.setattr(SignalledStack, "__exit__", drain)
    assert invoke("--model", "/m").exit_code == 130


@pytest.mark.parametrize(
    ("text", "message"),
    [("replicas: [", "cannot be read"), ("- 1", "holds no mapping"), ("engine: {}", "no model")],
)
def test_a_file_that_cannot_work_is_refused(tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "stack.yaml"
    config.write_text(text)
    result = invoke("--config", str(config))
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    ("model", "given", "bound"), [("random", "", 512), ("random", "9", 9), ("/m", "", None)]
)
def test_models_that_may_never_end_have_their_answers_bounded(
    started: list[StackSettings],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: str,
    given: str,
    bound: int | None,
) -> None:
    monkeypatch.setattr("scalesim.deployments.random_model.build", lambda path: path)
    config = tmp_path / "stack.yaml"
    config.write_text(f"ingress: {{default_max_tokens: {given}}}" if given else "replicas: 1")
    assert invoke("--config", str(config), "--model", model).exit_code == 0
    assert started[0].ingress.default_max_tokens == bound

"""`scalesim trace`: generating, and recording from a stack's feed."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scalesim.cli.replay import app as replay
from scalesim.cli.trace import app
from scalesim.errors import InvalidRequestError, UnavailableError

EVENTS = [{"step": 0, "agent": "a"}, {"step": 1, "agent": "b", "prompt_tokens": 9}]


class CutFeed(BaseHTTPRequestHandler):
    """A stack that stops after its events: the stream is cut, as by one that is taken down."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer secret"
        known = self.path == "/v1/trace?simulation=town"
        self.send_response(200 if allowed and known else 401)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in EVENTS:
            line = json.dumps(event).encode() + b"\n\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), CutFeed) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("SCALESIM_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("SCALESIM_API_KEY", "secret")
        yield
        server.shutdown()
        thread.join()


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_generated_traces_are_seeded(tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    shape = ("--agents", 12, "--steps", 9, "--seed", 4)
    assert invoke("generate", "spatial", *shape, "--out", out).exit_code == 0
    printed = invoke("generate", "spatial", *shape).output
    assert out.read_text() == printed
    assert json.loads(printed.splitlines()[0]).keys() == {"step", "agent"}


def test_an_unknown_workload_lists_all() -> None:
    assert "round-robin" in str(invoke("generate", "nope").exception)


@pytest.mark.usefixtures("stack")
def test_a_running_stack_is_recorded_until_it_ends(tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    done = invoke("record", "--simulation", "town", "--out", out)
    assert done.exit_code == 0
    assert "ended" in done.stderr
    assert [json.loads(line) for line in out.read_text().splitlines()] == EVENTS
    one = invoke("record", "--simulation", "town", "--requests", 1)
    assert [json.loads(line) for line in one.output.splitlines()] == EVENTS[:1]


@pytest.mark.usefixtures("stack")
def test_programs_read_what_was_written(tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    done = invoke("record", "--simulation", "town", "--out", out, "--json")
    assert json.loads(done.stdout) == {"requests": 2, "out": str(out)}
    done = invoke("generate", "zipf", "--agents", 3, "--steps", 2, "--json")
    assert isinstance(done.exception, InvalidRequestError)


@pytest.mark.usefixtures("stack")
def test_a_wrong_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALESIM_API_KEY", "wrong")
    done = invoke("record", "--simulation", "town")
    assert isinstance(done.exception, InvalidRequestError)
    assert "401" in str(done.exception)


def test_without_a_stack_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALESIM_BASE_URL", "http://127.0.0.1:9")
    done = invoke("record")
    assert isinstance(done.exception, UnavailableError)
    assert "scalesim up" in str(done.exception)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = invoke("generate", "zipf", "--out", tmp_path / "no" / "such" / "folder")
    assert isinstance(done.exception, InvalidRequestError)


@pytest.mark.parametrize("packed", [False, True])
def test_a_trace_of_others_is_converted_and_replayed(tmp_path: Path, packed: bool) -> None:
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"2023-11-16 18:15:{59 - n}.0000000,{100 + n},7" for n in range(40)]  # latest first
    data = b"\xef\xbb\xbf" + "\r\n".join(lines).encode()
    source, out = tmp_path / "azure.csv", tmp_path / "trace.jsonl"
    source.write_bytes(gzip.compress(data) if packed else data)
    done = invoke("convert", source, "--agents", 5, "--out", out, "--json")
    assert json.loads(done.output)["requests"] == 40
    report = CliRunner().invoke(replay, [str(out), "--policy", "lru", "--json"])
    assert json.loads(report.output)["requests"] == 40
    refused = CliRunner().invoke(replay, [str(source)])
    assert "scalesim trace convert" in str(refused.exception)
    assert isinstance(invoke("convert", tmp_path).exception, InvalidRequestError)

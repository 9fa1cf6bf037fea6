"""Embeddings: forwarded where a server is named, refused with what to do otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from benchmarks.free_port import free_port
from scalesim.deployments.embeddings import Embeddings
from scalesim.errors import InvalidRequestError, NotServedError, ReplicaUnavailableError
from scalesim.settings import EmbeddingsSettings


class EmbeddingServer(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers.get("authorization")
        answer = json.dumps({"path": self.path, "key": key, "body": body}).encode()
        self.send_response({"tea": 418, "no": 401, "moved": 307}.get(str(body["input"]), 200))
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        if body["input"] == "slow":  # each byte in time, all of them not
            with suppress(OSError):
                for byte in answer:
                    self.wfile.write(bytes([byte]))
                    threading.Event().wait(0.02)
            return
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), EmbeddingServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/"
        server.shutdown()
        thread.join()


async def ask(settings: dict[str, Any] | None, **body: Any) -> tuple[int, Any]:
    named = EmbeddingsSettings.model_validate(settings) if settings is not None else None
    embeddings = Embeddings(named)
    try:
        answer = await embeddings.answer(body)
    finally:
        await embeddings.close()
    return answer.status, json.loads(answer.body)


async def test_what_is_asked_is_forwarded(url: str) -> None:
    asked = {"input": ["a", "b"], "model": "ada", "encoding_format": "base64"}
    status, answer = await ask({"url": url}, **asked, user="ann")
    assert (status, answer) == (200, {"path": "/v1/embeddings", "key": None, "body": asked})
    status, answer = await ask({"url": url, "api_key": "k", "model": "bge"}, **asked)
    assert (answer["key"], answer["body"]["model"]) == ("Bearer k", "bge")


async def test_the_other_server_s_refusal_is_its_own(url: str) -> None:
    assert (await ask({"url": url}, input="tea"))[0] == 418


@pytest.mark.parametrize("body", [{}, {"input": ""}, {"input": "a", "zzz": 1}, {"input": [1.5]}])
async def test_only_what_is_listed_is_forwarded(url: str, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        await ask({"url": url}, **body)


async def test_without_a_server_it_is_said_how_to_have_one() -> None:
    with pytest.raises(NotServedError, match=r"set ingress\.embeddings\.url"):
        await ask(None, input="a")


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(ReplicaUnavailableError, match=r"ingress\.embeddings\.url did not answer"):
        await ask({"url": f"http://127.0.0.1:{free_port()}/v1"}, input="a")


async def test_who_the_stack_is_to_the_other_server_is_not_told(url: str) -> None:
    with pytest.raises(ReplicaUnavailableError, match=r"ingress\.embeddings\.api_key") as refused:
        await ask({"url": url, "api_key": "secret"}, input="no")
    assert "secret" not in str(refused.value)
    with pytest.raises(ReplicaUnavailableError, match=r"elsewhere \(307\)"):
        await ask({"url": url}, input="moved")


async def test_an_answer_has_a_largest_size(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalesim.deployments.embeddings.MOST_BYTES", 10)
    with pytest.raises(ReplicaUnavailableError, match="over 10 bytes"):
        await ask({"url": url}, input="a")


async def test_an_answer_that_trickles_has_an_end(url: str) -> None:
    with pytest.raises(ReplicaUnavailableError, match="TimeoutError"):
        await ask({"url": url, "timeout_s": 0.3}, input="slow")


async def test_no_proxy_is_asked_for_a_server_here(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert (await ask({"url": url}, input="a"))[0] == 200

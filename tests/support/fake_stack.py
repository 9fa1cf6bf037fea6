"""An in-process server that answers as the stack does, and notes what it received."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

TRACED = {"prompt_tokens": 800, "output_tokens": 4, "device": 16, "host": 8, "storage": 4}
"""What the trace says of every call."""


class FakeStack:
    """Listens on a free loopback port while in its `with` block.

    `found` is the cached-tokens header of every answer, `received` the control bodies as
    (path, body), `calls` the (agent, prompt) of each chat call in the order they came, `asked` the
    paths that were got, `callers` the (agent, simulation) of each chat call, `refused` the
    counts of refusals by code in its metrics, `is_ours` whether it has a stack's health and
    metrics, and `only_for` the one simulation that its key is for; empty for all.
    """

    def __init__(self) -> None:
        self.found = "prompt=800, device=16, host=8, storage=4"
        self.is_ours = True
        self.only_for = ""
        self.received: list[tuple[str, Any]] = []
        self.calls: list[tuple[str | None, str]] = []
        self.headers: list[dict[str, str]] = []
        self.errors: list[tuple[int, str]] = []
        self.asked: list[str] = []
        self.status: dict[str, Any] = {"simulations": {}}
        self.refused = {"invalid_request": 1}
        self.callers: list[tuple[str | None, ...]] = []
        self.called = threading.Condition()
        self.ended = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeStack:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def end(self) -> None:
        """Answer nobody any more; a second call does nothing."""
        with self.called:
            self.ended = True
            self.called.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(stack: FakeStack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            stack.asked.append(self.path)
            if self.path == "/health" and stack.is_ours:
                self._json(200, {"status": "ok"})
            elif self._is_forbidden():
                self._json(403, {"error": {"message": "this key is not for it"}})
            elif self.path == "/metrics" and stack.is_ours:
                counts = stack.refused.items()
                lines = (f'scalesim_refused_total{{code="{code}"}} {n}.0' for code, n in counts)
                self._answer(200, "text/plain", "\n".join(lines))
            elif self.path.startswith("/v1/trace?simulation="):
                self._trace(self.path.partition("=")[2])
            elif stack.errors:
                self._fail()
            else:
                self._json(200, stack.status)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers["Content-Type"] == "application/msgpack"
            body = msgspec.msgpack.decode(raw) if packed else json.loads(raw)
            stack.headers.append(dict(self.headers))
            if stack.errors:
                self._fail()
            elif self.path == "/v1/chat/completions":
                self._chat(body)
            else:
                stack.received.append((self.path, body))
                rows = len(body.get("ids", ()))
                self._json(200, {"epoch": body.get("epoch", 0), "accepted": rows, "ignored": 0})

        def _is_forbidden(self) -> bool:
            of_all = self.path == "/metrics"
            of_one = self.path.startswith("/v1/trace") and not self.path.endswith(stack.only_for)
            return bool(stack.only_for) and (of_all or of_one)

        def _trace(self, simulation: str) -> None:
            """Send a line for each call of the simulation, until the stack ends."""
            self.close_connection = True
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"\n")
            sent = 0
            with stack.called:
                while not stack.ended:
                    for agent, name in stack.callers[sent:]:
                        if name == simulation:
                            line = {"step": 0, "agent": agent or "anonymous-1", **TRACED}
                            self.wfile.write(json.dumps(line).encode() + b"\n")
                    sent = len(stack.callers)
                    self.wfile.flush()
                    stack.called.wait()

        def do_DELETE(self) -> None:
            stack.received.append((self.path, None))
            self._json(200, {})

        def _fail(self) -> None:
            status, message = stack.errors.pop(0)
            self._json(status, {"error": {"message": message, "param": None}})

        def _chat(self, body: dict[str, Any]) -> None:
            prompt = " ".join(str(message["content"]) for message in body["messages"])
            stack.calls.append((self.headers.get("X-Agent-Id"), prompt))
            with stack.called:
                names = (self.headers.get(name) for name in ("X-Agent-Id", "X-Simulation-Id"))
                stack.callers.append(tuple(names))
                stack.called.notify_all()
            word = f"w{hashlib.sha256(prompt.encode()).digest()[0]}"
            tokens = body.get("max_tokens", 1)
            usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1 + tokens}
            about = {"id": "1", "created": 1, "model": body["model"]}
            choice = {"index": 0, "finish_reason": "stop", "logprobs": None}
            if schema := body.get("response_format", {}).get("json_schema"):
                properties = schema["schema"]["properties"].items()
                word = json.dumps({name: each["enum"][0] for name, each in properties})
            if not body.get("stream"):
                choice["message"] = {"role": "assistant", "content": word}
                about |= {"object": "chat.completion", "choices": [choice], "usage": usage}
                self._json(200, about)
                return
            about["object"] = "chat.completion.chunk"
            events = [
                about | {"choices": [choice | {"delta": {"content": word}}]},
                about | {"choices": [], "usage": usage},
            ]
            lines = [json.dumps(event) for event in events] + ["[DONE]"]
            self._answer(200, "text/event-stream", "".join(f"data: {x}\n\n" for x in lines))

        def _json(self, status: int, body: Any) -> None:
            self._answer(status, "application/json", json.dumps(body))

        def _answer(self, status: int, kind: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("x-scalesim-cached-tokens", stack.found)
            self.send_header("x-scalesim-replica", "replica-0")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler

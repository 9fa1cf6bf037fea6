"""One trace from a client's own span to the engine's, as a collector gets it from a real stack."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.reliability.scalesim_up import ScalesimUp
from scalesim.deployments.random_model import build
from tests.deployments.test_tracing import PARENT, SENT, TRACE

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1200)]

ARRIVE_S = 400.0
"""For the answer, and for the spans, on a machine with others on it."""


class Collector(services.TraceServiceServicer):  # type: ignore[misc]  # generated, without types
    """Keeps the spans that it is sent, with the service that sent them."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []

    def Export(self, request: Any, context: Any) -> Any:
        for sent in request.resource_spans:
            names = {one.key: one.value.string_value for one in sent.resource.attributes}
            service = names.get("service.name", "")
            self.spans += [(service, span) for one in sent.scope_spans for span in one.spans]
        return messages.ExportTraceServiceResponse()

    def of(self, trace_id: str) -> list[tuple[str, Span]]:
        return [(service, span) for service, span in self.spans if span.trace_id.hex() == trace_id]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Collector, str]]:
    server, found = grpc.server(ThreadPoolExecutor(2)), Collector()
    services.add_TraceServiceServicer_to_server(found, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    exporter = "scalesim.deployments.tracing:exporter"
    monkeypatch.setenv("RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH", exporter)
    monkeypatch.setenv("RAY_SERVE_TRACING_SAMPLING_RATIO", "1.0")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{address}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
    yield found, address
    server.stop(None).wait()


def test_a_request_is_one_trace(collector: tuple[Collector, str], tmp_path: Path) -> None:
    found, address = collector
    model = build(tmp_path / "model", size="tiny")
    config = tmp_path / "stack.yaml"
    config.write_text(
        f"engine: {{model_path: {model}, device: cpu, device_tokens: 1024, "
        f"extra_args: {{enable_trace: true, otlp_traces_endpoint: '{address}'}}}}"
    )
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as place,
        ScalesimUp(config, Path(place)) as up,
    ):
        body = {"model": "scalesim", "prompt": "w1 w2 w3", "max_tokens": 4}
        url = f"{up.ready().url}/v1/completions"
        answer = httpx.post(url, json=body, headers=SENT, timeout=ARRIVE_S, trust_env=False)
        assert answer.status_code == 200, answer.text
        deadline = time.monotonic() + ARRIVE_S
        while not joined(found) and time.monotonic() < deadline:
            time.sleep(0.1)
    (span,) = ours(found)
    assert span.parent_span_id.hex() == PARENT
    assert joined(found), [(service, one.name) for service, one in found.of(TRACE)]


def joined(found: Collector) -> bool:
    """Return whether a way leads from the engine's span to ours: each process sends its own."""
    spans = {span.span_id: span for _, span in found.of(TRACE)}
    tops = {span.span_id for span in ours(found)}
    for at in of_engine(found)[:1]:
        while at.span_id not in tops and at.parent_span_id in spans:
            at = spans[at.parent_span_id]
        return at.span_id in tops
    return False


def ours(found: Collector) -> list[Span]:
    return [span for _, span in found.of(TRACE) if span.name == "POST /v1/completions"]


def of_engine(found: Collector) -> list[Span]:
    return [span for service, span in found.of(TRACE) if service.startswith("sglang")]

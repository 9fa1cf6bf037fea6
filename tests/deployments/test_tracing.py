"""Spans of a request: the client's own above, ours, and what the engine continues."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from scalesim.deployments.tracing import carrier, request_span
from scalesim.errors import ReplicaUnavailableError
from tests.deployments.test_middleware import request

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
PATH = "/v1/chat/completions"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("scalesim.deployments.tracing.trace.get_tracer_provider", lambda: provider)
    monkeypatch.setattr("scalesim.deployments.tracing.trace.get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def one(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def test_it_is_a_child_of_the_clients_and_the_engine_goes_on_from_it(
    spans: InMemorySpanExporter,
) -> None:
    with request_span(request(x_request_id="mine", **SENT), PATH) as span:
        passed_on = carrier()
        span.answered(200, "host", "r1")
        span.ended(7)
    assert carrier() is None
    found = one(spans)
    context = found.get_span_context()
    assert found.name == f"POST {PATH}"
    assert found.parent is not None
    assert context is not None
    assert (found.parent.trace_id, found.parent.span_id) == (int(TRACE, 16), int(PARENT, 16))
    assert passed_on is not None
    assert passed_on["traceparent"] == f"00-{TRACE}-{context.span_id:016x}-01"
    assert found.attributes is not None
    assert found.attributes["scalesim.request_id"] == "mine"
    assert found.attributes["scalesim.residency"] == "host"
    assert found.attributes["gen_ai.usage.output_tokens"] == 7
    assert [event.name for event in found.events] == ["first piece"]


def test_a_refused_one_has_its_code_and_none_of_its_words(spans: InMemorySpanExporter) -> None:
    fault = ReplicaUnavailableError("of agent bob")
    with pytest.raises(ReplicaUnavailableError), request_span(request(), PATH):
        raise fault
    found = one(spans)
    assert found.status.status_code is trace.StatusCode.ERROR
    assert found.status.description == fault.code
    assert "bob" not in found.to_json()


def test_a_stream_that_breaks_off_is_an_error(spans: InMemorySpanExporter) -> None:
    with request_span(request(), PATH) as span:
        span.broke(ReplicaUnavailableError("gone"))
    assert one(spans).status.status_code is trace.StatusCode.ERROR


def test_without_tracing_nothing_is_made() -> None:
    with request_span(request(**SENT), PATH) as span:
        assert carrier() is None
        span.answered(200, "miss", "r1")
        span.ended(1)
        span.broke(ReplicaUnavailableError("gone"))


@pytest.mark.slow
def test_serves_own_spans_and_ours_are_of_one_trace() -> None:
    """Serve's way from one process to the other, in a process of its own: it is set up once."""
    program = """
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ray.serve._private import tracing_utils as serve
from ray.serve.schema import TracingConfig
from scalesim.deployments.tracing import carrier, request_span
from tests.deployments.test_middleware import request
from tests.deployments.test_tracing import PATH, SENT, TRACE
import tests.deployments.test_tracing as here
here.MEMORY = InMemorySpanExporter()
here.memory = lambda: [SimpleSpanProcessor(here.MEMORY)]
path = "tests.deployments.test_tracing:memory"
assert serve.setup_tracing("a", "b", None, TracingConfig(enabled=True, exporter_import_path=path))
with request_span(request(**SENT), PATH):
    sent = serve.create_propagated_context()
context = serve.extract_propagated_context(sent)
with serve.TraceContextManager("replica_handle_request Replica answer", trace_context=context):
    passed_on = carrier()
ours, replicas = here.MEMORY.get_finished_spans()
assert replicas.parent.span_id == ours.get_span_context().span_id
assert passed_on["traceparent"].split("-")[1] == TRACE
assert int(passed_on["traceparent"].split("-")[2], 16) == replicas.get_span_context().span_id
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr

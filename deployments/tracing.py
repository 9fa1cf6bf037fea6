"""Spans of a request by OpenTelemetry where Ray Serve is set to trace; otherwise does nothing.

Serve makes a process trace (`RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH`) and carries the context from
the ingress to the replica; SGLang takes it from there (`engine.extra_args`: `enable_trace`). Ours
is the first span, which a client's own `traceparent` is the parent of: Serve's proxy, whose it
would be, is not there where the ingress listens by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from starlette.requests import Request

from scalesim.deployments.middleware import name_of
from scalesim.errors import ScaleSimError

EXPORTER = f"{__name__}:exporter"
"""What RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH names to send spans by OTLP."""

_NAME = "scalesim"


class RequestSpan:
    """The span of one request; methods do nothing if it is not recorded."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def answered(self, status: int, residency: str, replica: str) -> None:
        """Note the head of the answer."""
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("scalesim.residency", residency)
        self._span.set_attribute("scalesim.replica", replica)
        self._span.add_event("first piece")

    def ended(self, output_tokens: int) -> None:
        """Note the end of the answer."""
        self._span.set_attribute("gen_ai.usage.output_tokens", output_tokens)

    def broke(self, error: ScaleSimError) -> None:
        """Note that the answer broke off."""
        self._span.set_status(trace.StatusCode.ERROR, error.code)


@contextmanager
def request_span(request: Request, path: str) -> Iterator[RequestSpan]:
    """Open the span of a request, as a child of the one that its client sent.

    Args:
        request: A request of any route.
        path: Path of its route.
    """
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield RequestSpan(trace.INVALID_SPAN)
        return
    attributes = {
        "http.request.method": request.method,
        "http.route": path,
        "scalesim.request_id": name_of(request),
    }
    tracer = trace.get_tracer(_NAME)
    with tracer.start_as_current_span(
        f"{request.method} {path}",
        context=propagate.extract(_lower(request.headers)),
        kind=trace.SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,  # its words may name agents
        set_status_on_exception=False,
    ) as span:
        try:
            yield RequestSpan(span)
        except ScaleSimError as error:
            span.set_attribute("http.response.status_code", error.status)
            span.set_status(trace.StatusCode.ERROR, error.code)
            raise


def carrier() -> dict[str, str] | None:
    """Return what an engine continues the present span with; None where there is none."""
    if not trace.get_current_span().get_span_context().is_valid:
        return None
    found: dict[str, str] = {}
    propagate.inject(found)
    return found


def exporter() -> list[Any]:
    """Return what sends spans to OTEL_EXPORTER_OTLP_ENDPOINT; called by Ray Serve.

    Raises:
        ImportError: `pip install 'scalesim-serve[otel]'`.
    """
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return [BatchSpanProcessor(OTLPSpanExporter())]


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}

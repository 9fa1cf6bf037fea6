"""What the ingress counts, in its own registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from scalesim.errors import ScaleSimError
from scalesim.headers import CachedTokens

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class IngressMetrics:
    """Requests and prompt tokens by the tier they were found in; time to the first piece.

    Attributes:
        waiting: Requests that have not got their first piece yet.
    """

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "scalesim_requests", "Requests answered.", ["residency", "status"], registry=registry
        )
        self._tokens = Counter(
            "scalesim_prompt_tokens", "Prompt tokens by where found.", ["found"], registry=registry
        )
        self._refused = Counter(
            "scalesim_refused", "Requests refused at the edge.", ["code"], registry=registry
        )
        self._retried = Counter(
            "scalesim_retried", "Requests sent again after a replica died.", registry=registry
        )
        self.waiting = Gauge(
            "scalesim_requests_waiting", "Requests without their first piece.", registry=registry
        )
        self._first = Histogram(
            "scalesim_first_piece_seconds",
            "Time to the first token of a stream, or to the whole answer.",
            buckets=_BUCKETS_S,
            registry=registry,
        )

    def answered(self, found: CachedTokens, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(found.residency, status).inc()
        self._first.observe(seconds)
        missed = found.prompt - found.device - found.host - found.storage
        counts = {"device": found.device, "host": found.host, "storage": found.storage}
        for tier, tokens in (counts | {"miss": max(0, missed)}).items():
            self._tokens.labels(tier).inc(tokens)

    def refused(self, error: ScaleSimError) -> None:
        """Count one refusal."""
        self._refused.labels(error.code).inc()

    def retried(self) -> None:
        """Count a request that goes to another replica."""
        self._retried.inc()

    def text(self) -> str:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry).decode()

"""What a replica reports of itself."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from scalesim.deployments.calls import AnswerEnd, AnswerHeader, is_head, tokens_of
from scalesim.deployments.controller_link import Link
from scalesim.deployments.replica_metrics import ReplicaMetrics
from scalesim.headers import CachedTokens
from scalesim.vocabulary import TransferStats
from tests.deployments.test_controller_link import HELLO, FakeChannel, LinkedController, rows


def exposed(metrics: ReplicaMetrics) -> dict[tuple[str, str], float]:
    """Samples by name and loop."""
    registry = CollectorRegistry()
    registry.register(metrics)
    samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            assert sample.labels["replica"] == "r1"
            samples[sample.name, sample.labels.get("loop", "")] = sample.value
    return samples


def test_requests_run_until_they_end_well_or_not() -> None:
    metrics = ReplicaMetrics("r1")
    with metrics:
        assert exposed(metrics)["scalesim_replica_requests_running", ""] == 1
    with pytest.raises(ValueError, match="a bug"), metrics:
        raise ValueError("a bug")
    shown = exposed(metrics)
    assert shown["scalesim_replica_requests_running", ""] == 0
    assert shown["scalesim_replica_requests_total", ""] == 2


def test_first_pieces_and_tokens_are_counted_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = ReplicaMetrics("r1")
    now = 10.0
    monkeypatch.setattr("scalesim.deployments.replica_metrics.time.perf_counter", lambda: now)
    head = AnswerHeader(200, "text/event-stream", CachedTokens(), "r1"), b"first"
    with metrics as came_at:
        now += 2.0
        for part in (head, b"more", AnswerEnd(b"", 7)):
            if is_head(part):
                metrics.first(came_at)
            metrics.generated(tokens_of(part))
    whole = AnswerHeader(200, "application/json", CachedTokens(), "r1", 3), b"{}"
    metrics.generated(tokens_of(whole))
    shown = exposed(metrics)
    assert shown["scalesim_replica_first_piece_seconds_count", ""] == 1
    assert shown["scalesim_replica_first_piece_seconds_sum", ""] == 2
    assert shown["scalesim_replica_output_tokens_total", ""] == 10


def test_health_checks_are_timed() -> None:
    metrics = ReplicaMetrics("r1")
    metrics.probed(0.5)
    metrics.probed(0.25)
    shown = exposed(metrics)
    assert shown["scalesim_replica_probe_seconds_count", ""] == 2
    assert shown["scalesim_replica_probe_seconds_sum", ""] == 0.75
    assert ("scalesim_replica_resyncs_total", "") not in shown


def test_what_is_emulated_is_labelled() -> None:
    metrics = ReplicaMetrics("r1", "emulated-h100")
    (info,) = (family for family in metrics.collect() if family.name == "scalesim_replica_info")
    assert [sample.labels for sample in info.samples] == [
        {"replica": "r1", "device": "emulated-h100"}
    ]


async def test_its_link_is_reported() -> None:
    metrics, controller, channel = ReplicaMetrics("r1"), LinkedController(), FakeChannel()
    metrics.link = Link("r1", controller, channel, HELLO, 0.1, metrics="127.0.0.1:8082")
    await channel.sent.get()
    channel.update.put_nowait([rows(), TransferStats("prefix")])
    while not controller.heard:
        await asyncio.sleep(0)
    shown = exposed(metrics)
    assert controller.attached[0].metrics == "127.0.0.1:8082"
    assert shown["scalesim_replica_engine_messages_total", ""] == 2
    assert shown["scalesim_replica_resyncs_total", ""] == 1
    for loop in ("directives", "residency"):
        assert shown["scalesim_loop_crashes_total", loop] == 0
        assert shown["scalesim_loop_stalled_seconds", loop] == 0
    await metrics.link.stop()

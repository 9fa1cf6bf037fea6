"""What the ingress counts of an answer."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from scalesim.deployments.ingress_metrics import IngressMetrics, exposition
from scalesim.headers import CachedTokens


def exposed(metrics: IngressMetrics) -> dict[str, float]:
    """Sum of each metric's samples, by name."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition([("i", metrics.families())])):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_an_answer_is_counted_from_its_begin_to_its_end() -> None:
    metrics = IngressMetrics()
    metrics.answered("town", CachedTokens(100, 60, 20), 200, 0.5)
    begun = exposed(metrics)
    assert (begun["scalesim_requests_total"], begun["scalesim_prompt_tokens_total"]) == (1, 100)
    assert begun["scalesim_request_seconds_count"] == 0
    metrics.ended("town", 8, 2.0)
    done = exposed(metrics)
    assert done["scalesim_output_tokens_total"] == 8
    assert done["scalesim_request_seconds_sum"] == 2
    assert done["scalesim_simulation_tokens_total"] == 108


def test_stragglers_are_judged_by_the_answers_before_them() -> None:
    metrics = IngressMetrics()
    metrics.ended("town", 1, 60.0)  # nothing to compare it with
    for _ in range(31):
        metrics.ended("town", 1, 1.0)
    assert exposed(metrics)["scalesim_stragglers_total"] == 0
    metrics.ended("town", 1, 2.5)
    metrics.ended("town", 1, 1.9)
    assert exposed(metrics)["scalesim_stragglers_total"] == 1


def test_tokens_of_a_stream_are_timed_after_the_first() -> None:
    metrics = IngressMetrics()
    metrics.streamed(5, 2.0)
    metrics.streamed(1, 0.0)
    shown = exposed(metrics)
    assert shown["scalesim_output_token_seconds_count"] == 1
    assert shown["scalesim_output_token_seconds_sum"] == 0.5

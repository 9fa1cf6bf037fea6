"""Series of simulations: few, the active ones, and none lost."""

from __future__ import annotations

from scalesim.deployments.simulation_metrics import IDLE_S, MOST, OTHERS, SimulationMetrics


class MetricsClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def totals(metrics: SimulationMetrics) -> dict[str, float]:
    """Tokens generated, by simulation."""
    (family,) = metrics.collect()
    samples = (s for s in family.samples if s.labels["tokens"] == "generated")
    return {sample.labels["simulation"]: sample.value for sample in samples}


def test_tokens_by_what_was_done_with_them() -> None:
    metrics = SimulationMetrics()
    metrics.prompt("town", found=30, computed=10)
    metrics.generated("town", 5)
    (family,) = metrics.collect()
    town = {s.labels["tokens"]: s.value for s in family.samples if s.labels["simulation"] == "town"}
    assert town == {"found": 30, "computed": 10, "generated": 5}


def test_simulations_beyond_the_limit_share_a_series() -> None:
    metrics = SimulationMetrics(MetricsClock())
    for number in range(MOST + 7):
        metrics.generated(f"sim-{number}", 1)
    assert len(totals(metrics)) == MOST + 1
    assert totals(metrics)[OTHERS] == 7


def test_a_silent_one_gives_its_series_up_and_no_token_is_lost() -> None:
    clock = MetricsClock()
    metrics = SimulationMetrics(clock)
    for number in range(MOST):
        metrics.generated(f"sim-{number}", 2)
    clock.now = IDLE_S / 2
    metrics.generated("sim-0", 2)
    clock.now = IDLE_S + 1
    metrics.generated("new", 1)
    seen = totals(metrics)
    assert seen["new"] == 1
    assert seen["sim-0"] == 4
    assert "sim-1" not in seen
    assert sum(seen.values()) == 2 * MOST + 2 + 1

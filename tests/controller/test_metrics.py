import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from scalesim.controller import metrics
from scalesim.controller.metrics import MOST_SIMULATIONS, StatusOnLoop, exposition
from scalesim.vocabulary import Tier, TransferStats
from tests.support.controller_world import FakeReplica, make_controller, report, settle


def status(agents: int, **state: Any) -> dict[str, Any]:
    controller = make_controller()
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.HOST, *range(agents))
    report(controller, 1, dict.fromkeys(range(agents), 1.0))
    settle(controller, replica)
    controller.transfer(
        "r1",
        controller.incarnation,
        TransferStats("prefix", 3, used=2, wasted_bytes=100, fault="EIO"),
    )
    catalog = {"ok": True, "error": "", "lag_s": 0.5, "flushes": 1, "rows": 2}
    catalog |= {"failures": 0, "losses": 0}
    loops = {"plan": {"crashes": 3, "stalled_s": 0.1}}
    return {
        **controller.status(),
        "update_interval_s": 0.01,
        "catalog": catalog,
        "loops": loops,
        **state,
    }


def scrape(agents: int, **state: Any) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    text = exposition(status(agents, **state))
    return {
        family.name: {tuple(sorted(s.labels.items())): s.value for s in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_state_is_shown_in_base_units() -> None:
    metrics = scrape(4)
    assert metrics["scalesim_agents"][(("tier", "device"),)] == 3
    assert metrics["scalesim_agents"][(("tier", "host"),)] == 1
    device = (("kind", "prefix"), ("replica", "r1"), ("tier", "device"))
    assert metrics["scalesim_replica_bytes"][device] == 300
    assert metrics["scalesim_replica_residents"][device] == 3
    assert metrics["scalesim_replica_budget_bytes"][("replica", "r1"), ("tier", "device")] == 300
    assert metrics["scalesim_controller_directives"][(("verb", "prefetch"),)] == 3
    assert metrics["scalesim_controller_updates"][()] == 4
    transfer = (("kind", "prefix"), ("outcome", "used"), ("replica", "r1"))
    assert metrics["scalesim_prefetches"][transfer] == 2
    wasted = (("kind", "prefix"), ("outcome", "wasted"), ("replica", "r1"))
    assert metrics["scalesim_prefetch_bytes"][wasted] == 100
    assert metrics["scalesim_simulation_epoch"][(("simulation", "town"),)] == 1
    assert metrics["scalesim_simulation_step_seconds"][(("simulation", "town"),)] == 0
    assert metrics["scalesim_replica_storage_broken"][(("replica", "r1"),)] == 1
    plan = (("loop", "plan"), ("process", "controller"), ("replica", ""))
    assert metrics["scalesim_loop_crashes"][plan] == 3
    assert metrics["scalesim_loop_stalled_seconds"][plan] == 0.1
    assert metrics["scalesim_catalog_lag_seconds"][()] == 0.5


async def test_a_thread_reads_the_status_on_its_loop() -> None:
    loop, served = asyncio.get_running_loop(), status(4)

    async def read() -> dict[str, Any]:
        assert asyncio.get_running_loop() is loop
        return served

    registry = CollectorRegistry()
    registry.register(StatusOnLoop(read))
    text = await asyncio.to_thread(generate_latest, registry)
    assert text.decode() == exposition(served)


async def test_a_loop_that_is_stuck_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SCRAPE_S", 0.01)

    async def stuck() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    figures = StatusOnLoop(stuck)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(lambda: list(figures.collect()))


def test_learners_are_shown_where_something_is_learned() -> None:
    state = {"agents": 9, "leader": "cyclic", "hit_shares": {"recency": 0.1, "cyclic": 0.8}}
    metrics = scrape(1, learned={"-": state})
    cyclic = (("learner", "cyclic"), ("simulation", "-"))
    assert metrics["scalesim_learner_hit_ratio"][cyclic] == 0.8
    assert metrics["scalesim_learner_leads"][cyclic] == 1
    assert scrape(1)["scalesim_learner_leads"] == {}


def test_only_the_largest_simulations_are_shown_one_by_one() -> None:
    states = {
        f"sim-{n}": {"epoch": n, "agents": n, "step_s": 0.0, "silent_s": 0.0} for n in range(300)
    }
    learned = {"sim-3": {"agents": 9, "leader": "cyclic", "hit_shares": {"cyclic": 0.8}}}
    metrics = scrape(1, simulations=states, learned=learned)
    assert metrics["scalesim_simulations"][()] == 300
    shown = {dict(labels)["simulation"] for labels in metrics["scalesim_simulation_epoch"]}
    assert shown == {f"sim-{n}" for n in range(300 - MOST_SIMULATIONS, 300)}
    assert metrics["scalesim_learner_leads"] == {}


def test_nothing_grows_with_the_agents() -> None:
    few, many = scrape(2), scrape(500)
    assert {name: list(samples) for name, samples in few.items()} == {
        name: list(samples) for name, samples in many.items()
    }
    assert all(name.startswith("scalesim_") for name in many)


def test_transfer_stats_of_a_replica_that_is_not_attached_are_ignored() -> None:
    controller = make_controller()
    FakeReplica(controller, "r1")
    controller.transfer("r2", controller.incarnation, TransferStats("prefix", 3))
    controller.transfer("r1", controller.incarnation - 1, TransferStats("prefix", 3))
    assert controller.status()["replicas"]["r1"]["transfers"] == {}

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.policies import ranking
from scalesim.policies.links import Links
from scalesim.vocabulary import Budgets, Tier, Verb
from tests.support.planner_worlds import carry_out, moves, planned, view

INF = float("inf")


MIB = 2**20


def test_what_is_dear_to_bring_back_is_kept_longer():
    links = Links(host_bytes_per_s=10e9, storage_bytes_per_s=1e9)
    world = view([8, 9, 1], size=10 * MIB, device=[0, 1], host=[0, 2])
    plan = planned(world, Budgets(20 * MIB, 20 * MIB, 1000 * MIB), links)
    assert moves(plan) == [("demote", 0, "host"), ("prefetch", 2, "device")]
    plan = planned(world, Budgets(20 * MIB, 1000 * MIB, 1000 * MIB), links)
    assert ("demote", 1, "host") in moves(plan), "with room in host memory both are as cheap"


def test_no_more_is_fetched_than_the_link_carries_in_a_window():
    world = view([3, 2, 1, 0], size=10 * MIB, host=range(4))
    links = Links(host_bytes_per_s=10 * MIB, window_s=1.5)
    plan = planned(world, Budgets(1000 * MIB, 1000 * MIB, 0), links)
    assert moves(plan) == [("prefetch", 3, "device"), ("prefetch", 2, "device")]


def test_what_prefill_rebuilds_sooner_is_not_fetched():
    world = view([0], size=100 * MIB, host=[0], step_s=1.0)
    slow = Links(host_bytes_per_s=MIB, rebuild_bytes_per_s=10 * MIB)
    assert moves(planned(world, Budgets(1000 * MIB, 1000 * MIB, 0), slow)) == []
    early = world._replace(distance=np.array([200], np.float32))
    assert len(planned(early, Budgets(1000 * MIB, 1000 * MIB, 0), slow).rows) == 1


def test_the_step_time_of_its_own_simulation_counts():
    links = Links(host_bytes_per_s=10 * MIB, rebuild_bytes_per_s=1000 * MIB, window_s=99)
    world = view([0, 0], size=20 * MIB, host=[0, 1], simulation=[0, 1], step_s=[1.0, 5.0] * 4)
    budgets = Budgets(1000 * MIB, 1000 * MIB, 0)
    assert moves(planned(world, budgets, links)) == [("prefetch", 1, "device")]


def test_a_fetch_that_waits_is_called_back_only_when_it_became_useless():
    """Agents 0 to 2 wait for the device; 0 is unforeseen now, 2 gave way, 1 is still wanted."""
    links = Links(host_bytes_per_s=1e-6, rebuild_bytes_per_s=1e-9, window_s=1e-9)
    world = view([INF, 1, 9, 0, 0], host=range(5), coming=[Tier.DEVICE] * 3 + [0, 0])
    assert moves(planned(world, Budgets(30, 1000, 0), links))[:2] == [
        ("demote", 0, "host"),
        ("demote", 2, "host"),
    ]
    assert ("demote", 1, "host") not in moves(planned(world, Budgets(30, 1000, 0), links))
    started = world._replace(in_use=np.array([True] * 3 + [False] * 2))
    assert not any(verb == "demote" for verb, _, _ in moved(started, device=30))


def test_a_read_that_waits_is_called_back_to_storage():
    world = view([INF, 1], storage=[0, 1], coming=Tier.HOST)
    assert moved(world, device=0, host=20, storage=100) == [
        ("demote", 0, "storage"),
        ("prefetch", 1, "host"),
    ]
    onward = view([INF, 1], storage=[0, 1], coming=Tier.DEVICE)
    assert ("demote", 0, "storage") in moved(onward, device=20, host=20, storage=100)


def test_a_quota_holds_even_where_there_is_room():
    world = view([0, 1, 2, 3, 4], host=range(5), simulation=[0, 0, 0, 1, 1], quota=[0.2, 1.0])
    fetched = {row for verb, row, _ in moved(world, device=100) if verb == "prefetch"}
    assert fetched == {0, 1, 3, 4}
    alone = view([0, 1, 2], host=range(3), quota=0.1)
    assert moved(alone, device=100) == [("prefetch", 0, "device")]
    pinned = view([0, 1, 2], host=range(3), quota=0.1, pinned=[2])
    assert moved(pinned, device=100) == [("prefetch", 2, "device")]


def test_state_past_its_quota_makes_room_first():
    world = view([0, 0, 5], device=[0, 1], host=range(3), simulation=[0, 0, 1], quota=[0.5, 1.0])
    assert moved(world, device=20) == [("demote", 0, "host"), ("prefetch", 2, "device")]


def moved(world, device=20, host=1000, storage=0):
    return moves(planned(world, Budgets(device, host, storage)))


def test_nothing_to_do_is_an_empty_plan():
    assert moved(view([])) == []
    assert moved(view([0, 1], device=[0, 1])) == []


def test_nearest_are_fetched_nearest_first():
    world = view([3, 1, 2, 9], host=range(4))
    assert moved(world) == [("prefetch", 1, "device"), ("prefetch", 2, "device")]


def test_room_is_made_farthest_first_before_it_is_filled():
    world = view([0, 5, 9, 1], device=[1, 2], host=range(4))
    assert moved(world) == [
        ("demote", 2, "host"),
        ("demote", 1, "host"),
        ("prefetch", 0, "device"),
        ("prefetch", 3, "device"),
    ]


def test_no_room_is_made_that_nobody_needs():
    assert moved(view([INF, INF, 0], device=[0, 2])) == []
    world = view([INF, INF, 0], device=[0, 1], host=range(3))
    assert moved(world)[0] == ("demote", 0, "host"), "the one used longest ago goes"
    assert len(moved(world)) == 2


def test_absent_rows_and_unforeseen_rows_are_not_fetched():
    assert moved(view([0, INF], host=[1])) == []
    assert moved(view([0], size=0, host=[0])) == []


def test_state_in_use_or_pinned_stays_and_counts():
    world = view([INF, INF, 0, 1], device=[0, 1], host=[2, 3], in_use=[0], pinned=[1])
    assert moved(world) == [("prefetch", 2, "device")]  # for the room of what is in use


def test_pinned_state_comes_to_the_device_before_what_is_near():
    world = view([0, 1, INF, INF], device=[0], host=range(4), pinned=[2], storage=[3])
    assert moved(world, device=10) == [("demote", 0, "host"), ("prefetch", 2, "device")]
    stored = view([0, INF, INF], device=[0], storage=[1, 2], pinned=[1])
    assert ("prefetch", 1, "device") in moved(stored)
    running = view([0, INF], device=[0], host=[1], pinned=[1], in_use=[1])
    assert moved(running) == []


def test_a_row_is_not_displaced_within_the_margin():
    world = view([1.0, 0.6], device=[0], host=[0, 1])
    assert moved(world, device=10) == []
    nearer = view([1.0, 0.4], device=[0], host=[0, 1])
    assert moved(nearer, device=10) == [("demote", 0, "host"), ("prefetch", 1, "device")]


def test_a_payload_larger_than_the_tier_does_not_block_the_others():
    world = view([0, 1], size=[100, 10], host=[0, 1])
    assert moved(world) == [("prefetch", 1, "device")]


def test_next_ones_are_staged_in_host_memory_from_storage():
    world = view([0, 1, 2, 3, 4], device=[0], host=[0], storage=range(5))
    assert moved(world, device=10, host=30, storage=1000) == [
        ("prefetch", 1, "host"),
        ("prefetch", 2, "host"),
    ]


def test_far_host_copies_leave_for_storage_to_make_room():
    world = view([9, 8, 0, 1], host=[0, 1], storage=[2, 3])
    assert moved(world, device=0, host=20, storage=1000) == [
        ("demote", 0, "storage"),
        ("demote", 1, "storage"),
        ("prefetch", 2, "host"),
        ("prefetch", 3, "host"),
    ]


def test_of_a_crowd_that_may_ask_now_nobody_is_fetched():
    crowd = view([0.0] * 6, host=range(6))
    assert moved(crowd, device=40) == []
    assert len(moved(crowd, device=60)) == 6
    assert len(moved(view([0.1 * place for place in range(6)], host=range(6)), device=40)) == 4
    waiting = view([0.0] * 6, host=range(6), coming=Tier.DEVICE)
    assert moved(waiting, device=40) == [("demote", row, "host") for row in range(6)]


def test_a_simulation_that_claims_everything_is_now_takes_only_its_share():
    claimed = [0.1] * 8
    honest = [4.0, 5.0, 6.0]
    world = view(claimed + honest, host=range(11), simulation=[0] * 8 + [1] * 3)
    fetched = {row for verb, row, _ in moved(world, device=60) if verb == "prefetch"}
    assert fetched == {5, 6, 7, 8, 9, 10}


@st.composite
def worlds(draw):
    n = draw(st.integers(1, 12))
    rows = st.sets(st.integers(0, n - 1))
    device = draw(rows)
    return view(
        draw(st.lists(st.sampled_from([0, 0.3, 1, 2, 5, INF]), min_size=n, max_size=n)),
        size=draw(st.lists(st.integers(0, 30), min_size=n, max_size=n)),
        device=device,
        host=draw(rows),
        storage=draw(rows),
        in_use=draw(rows) & device,
        pinned=draw(rows) & device,
        simulation=draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)),
    )


@pytest.mark.slow
@given(worlds(), st.integers(0, 120), st.integers(0, 200), st.sampled_from([0, 10_000]))
@settings(max_examples=300)
def test_invariants_hold_for_any_world(world, device, host, storage):
    plan = planned(world, Budgets(device, host, storage))
    demoted = plan.rows[plan.verbs == Verb.DEMOTE]
    fetched = plan.rows[(plan.verbs == Verb.PREFETCH) & (plan.tiers == Tier.DEVICE)]

    assert len(np.unique(plan.rows)) == len(plan.rows)
    assert not (world.in_use | world.pinned)[demoted].any()
    assert np.isfinite(world.distance[plan.rows[plan.verbs == Verb.PREFETCH]]).all()
    assert (np.diff(plan.verbs.astype(int)) <= 0).all(), "room is made before it is filled"
    there = np.isin(np.arange(len(world.distance)), demoted) | world.in_use & ~world.pinned
    asked = (
        world.device_bytes[~there].sum() + (world.total_bytes - world.device_bytes)[fetched].sum()
    )
    assert asked <= max(device, world.device_bytes.sum()), "all of it fits once requests end"
    pushed = demoted[(world.device_bytes[demoted] > 0) & (world.total_bytes[demoted] <= device)]
    if len(np.unique(world.simulation)) == 1 and len(pushed) and len(fetched):
        assert world.distance[pushed].min() > world.distance[fetched].max()


@pytest.mark.slow
@given(worlds(), st.integers(0, 120), st.integers(0, 200), st.sampled_from([0, 10_000]))
@settings(max_examples=200)
def test_plans_carried_out_come_to_rest_without_moving_anything_back(world, device, host, storage):
    budgets = Budgets(device, host, storage)
    fetched: set[int] = set()
    for _ in range(2 * len(world.distance) + 1):
        before = world
        plan = planned(world, budgets)
        to_device = (plan.verbs == Verb.PREFETCH) & (plan.tiers == Tier.DEVICE)
        assert fetched.isdisjoint(plan.rows[plan.verbs == Verb.DEMOTE].tolist())
        fetched |= set(plan.rows[to_device].tolist())
        if len(plan.rows) == 0:
            return
        world = carry_out(world, plan, device)
        if np.array_equal(world.device_bytes, before.device_bytes):
            tiers = ("host_bytes", "storage_bytes")
            if all(np.array_equal(getattr(world, t), getattr(before, t)) for t in tiers):
                return  # what is left waits for requests to end
    pytest.fail("the plans never end")


@pytest.mark.parametrize("distance", [float("nan"), -1.0, 3e38])
def test_hostile_distances_do_no_harm(distance):
    world = view([distance, 0], device=[0], host=[0, 1])
    assert ("prefetch", 1, "device") in moved(world)


@pytest.mark.parametrize("simulations", [1, 3])
def test_a_large_population_is_planned_like_a_small_one(simulations, monkeypatch):
    rng = np.random.default_rng(0)
    n = 6000
    world = view(
        np.where(rng.random(n) < 0.2, INF, rng.exponential(50, n)),
        size=rng.integers(1, 30, n),
        device=np.flatnonzero(rng.random(n) < 0.05),
        host=np.flatnonzero(rng.random(n) < 0.3),
        storage=range(n),
        simulation=rng.integers(0, simulations, n),
    )
    budgets = Budgets(4000, 12_000, 10**9)
    quick = moves(planned(world, budgets))
    monkeypatch.setattr(ranking, "BUCKETS", 10**9)  # too many for anyone to be left out
    assert quick == moves(planned(world, budgets))
    assert len(quick) > 100


def test_room_to_come_is_fetched_for_after_all_others_and_within_the_quota():
    world = view([0, 0, 1, 1, 2, INF], device=[0, 1], host=range(6), in_use=[0, 1])
    assert moved(world, device=30) == [("prefetch", row, "device") for row in (3, 2, 4)]
    limited = world._replace(quota=np.full(8, 0.7))
    assert moved(limited, device=30) == []
    beyond = view([0, 1, 1, 5], device=[0, 2, 3], host=range(4), in_use=[0])
    assert moved(beyond, device=20) == [("prefetch", 1, "device")], "2 stays, and 3 gives way there"

"""Serve's own router with our choice in it: homes, loads, replicas that go, and no spinning."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ray.actor import ActorHandle
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID
from ray.serve._private.common import RequestMetadata as Metadata
from ray.serve._private.request_router.common import PendingRequest

from scalesim.deployments.calls import Call
from scalesim.deployments.placement_view import VIEW
from scalesim.deployments.rotation import ROTATION
from scalesim.deployments.router import SPILL_REQUESTS, ResidencyRouter
from scalesim.vocabulary import PlacementDelta

DEPLOYMENT = DeploymentID("Replica", "scalesim")
NAMES = ("a", "b", "c")
FULL = 4


class CandidateReplica:
    """A replica as the router sees it; `ongoing` is what it says when it is asked."""

    max_ongoing_requests = FULL

    def __init__(self, name: str) -> None:
        self.replica_id = ReplicaID(name, DEPLOYMENT)
        self.ongoing = 0

    async def get_queue_len(self, *, deadline_s: float) -> int:
        return self.ongoing

    def push_proxy_handle(self, handle: ActorHandle) -> None:
        pass


class NotingRouter(ResidencyRouter):
    """Notes when it backs off, and lets a test change the world meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            DEPLOYMENT, DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True
        )
        self.tries = 0
        self.backoffs = 0
        self.meanwhile = lambda: None

    async def choose_replicas(self, *args: Any, **kwargs: Any) -> Any:
        self.tries += 1
        return await super().choose_replicas(*args, **kwargs)

    async def _backoff(self, attempt: int) -> None:
        self.backoffs += 1
        self.meanwhile()
        await asyncio.sleep(0)


@pytest.fixture
def homes() -> Iterator[None]:
    """Agents 1, 2 and 3 live on a, b and c; 9 on a replica that is gone."""
    keys, places = np.array([1, 2, 3, 9]), np.array([0, 1, 2, 3], np.int32)
    VIEW.apply(PlacementDelta(1, (*NAMES, "gone"), keys, places, full=True))
    yield
    VIEW.apply(PlacementDelta(0, (), np.zeros(0, np.int64), np.zeros(0, np.int32), full=True))


@pytest.fixture
async def router(homes: None) -> NotingRouter:
    router = NotingRouter()
    replicas = [CandidateReplica(name) for name in NAMES]
    router.update_replicas(replicas)
    await router._probe_queue_lens(replicas, 0)  # its own look at new ones is over then, too
    return router


def request(key: int | None) -> PendingRequest:
    args = [] if key is None else [Call(key, "chat", {}, "salt")]
    number = str(id(args))
    return PendingRequest(args=args, kwargs={}, metadata=Metadata(number, number))


async def order(router: NotingRouter, key: int | None) -> list[str]:
    ranks = await router.choose_replicas(list(router.curr_replicas.values()), request(key))
    assert all(len(rank) == 1 for rank in ranks)
    return [rank[0].replica_id.unique_id for rank in ranks]


def busy(router: NotingRouter, name: str, requests: int) -> None:
    for _ in range(requests):
        router.on_send_request(ReplicaID(name, DEPLOYMENT))


async def test_home_is_first_and_the_others_follow_by_load(router: NotingRouter) -> None:
    busy(router, "a", 2)
    busy(router, "b", 1)
    assert await order(router, 1) == ["a", "c", "b"]
    assert await order(router, 3) == ["c", "b", "a"]


async def test_a_home_that_is_gone_or_unknown_is_another_for_all_alike(
    router: NotingRouter,
) -> None:
    for key in (9, 77):
        first = (await order(router, key))[0]
        busy(router, first, 1)
        assert (await order(router, key))[0] == first


async def test_a_call_of_nobody_goes_by_load(router: NotingRouter) -> None:
    busy(router, "a", 1)
    assert (await order(router, None))[-1] == "a"


async def test_a_swamped_home_is_given_up(router: NotingRouter) -> None:
    busy(router, "a", SPILL_REQUESTS)
    assert (await order(router, 1))[0] == "a"
    busy(router, "a", 1)
    assert (await order(router, 1))[0] != "a"


async def test_of_several_processes_each_sees_its_share_of_a_load(router: NotingRouter) -> None:
    router.initialize_state(processes=4)
    busy(router, "a", SPILL_REQUESTS // 4)
    assert (await order(router, 1))[0] == "a"
    busy(router, "a", 1)
    assert (await order(router, 1))[0] != "a"


async def test_those_under_suspicion_go_to_one_replica_and_no_other(router: NotingRouter) -> None:
    busy(router, "a", 2 * SPILL_REQUESTS)
    for key in range(5):
        asked = request(key)
        asked.args[0] = asked.args[0]._replace(under_suspicion=True)
        chosen = await router.choose_replicas(list(router.curr_replicas.values()), asked)
        assert [[each.replica_id.unique_id for each in rank] for rank in chosen] == [["a"]]


async def test_a_burst_that_ended_is_no_load(router: NotingRouter) -> None:
    burst = 2 * SPILL_REQUESTS
    busy(router, "a", burst)
    home = ReplicaID("a", DEPLOYMENT)
    for number in range(burst):
        # Over gRPC the number at its begin comes with a whole answer, when it is no longer true.
        router.on_new_queue_len_info(home, number + 1)
        router.on_request_completed(home, str(number))
        router.decrement_queue_len_cache(home)
    assert (await order(router, 1))[0] == "a"


async def test_a_replica_that_comes_back_carries_nothing(router: NotingRouter) -> None:
    busy(router, "a", 2 * SPILL_REQUESTS)
    router.update_replicas([CandidateReplica(name) for name in "bc"])
    router.update_replicas([CandidateReplica(name) for name in NAMES])
    assert (await order(router, 1))[0] == "a"


async def test_a_replica_gone_between_choice_and_send_is_left_for_another(
    router: NotingRouter,
) -> None:
    asked = request(1)
    chosen = await router._choose_replica_for_request(asked)
    assert chosen.replica_id.unique_id == "a"
    router.on_replica_actor_died(chosen.replica_id)
    again = await router._choose_replica_for_request(asked, is_retry=True)
    assert again.replica_id.unique_id in {"b", "c"}


async def test_one_that_cannot_be_reached_is_left_out_until_it_answers(
    router: NotingRouter,
) -> None:
    home = await order(router, 2)
    router.on_replica_actor_unavailable(ReplicaID(home[0], DEPLOYMENT))
    assert await order(router, 2) == home[1:]
    async with asyncio.timeout(10):
        while await order(router, 2) != home:
            await asyncio.sleep(0)


async def test_a_replica_that_died_has_not_left(router: NotingRouter) -> None:
    home = await order(router, 2)
    router.on_replica_actor_died(ReplicaID(home[0], DEPLOYMENT))
    assert await order(router, 2) == home[1:]
    router.update_replicas(list(router.curr_replicas.values()))
    assert not ROTATION.left(home[0])


async def test_where_all_are_full_a_request_backs_off_between_tries(router: NotingRouter) -> None:
    replicas = list(router.curr_replicas.values())
    for replica in replicas:
        replica.ongoing = FULL
        router.on_new_queue_len_info(replica.replica_id, FULL)

    def free_one() -> None:
        if router.backoffs == 5:
            replicas[1].ongoing = 0

    router.meanwhile = free_one
    chosen = await router._choose_replica_for_request(request(1))
    assert chosen.replica_id.unique_id == "b"
    assert (router.backoffs, router.tries) == (5, 7)  # the second try comes at once

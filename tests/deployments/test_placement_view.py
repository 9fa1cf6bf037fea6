import numpy as np
import pytest
from ray import cloudpickle
from ray.serve.config import RequestRouterConfig

from scalesim.deployments.ingress import Ingress
from scalesim.deployments.placement_view import PlacementView
from scalesim.deployments.rotation import Rotation
from scalesim.policies.placement import rendezvous_one
from scalesim.vocabulary import PlacementDelta

NAMES = ("a", "b", "c")


def delta(version: int, places: dict[int, int], full: bool = False) -> PlacementDelta:
    keys = np.array(list(places), np.int64)
    return PlacementDelta(version, NAMES, keys, np.array(list(places.values()), np.int32), full)


def test_an_empty_view_hashes() -> None:
    assert PlacementView().home(7, NAMES) == NAMES[rendezvous_one(7, NAMES)]


def test_the_order_of_replicas_does_not_matter() -> None:
    view = PlacementView()
    assert {view.home(key, NAMES) for key in (7,)} == {view.home(7, NAMES[::-1])}


def test_exceptions_come_and_go() -> None:
    view = PlacementView()
    hashed = view.home(7, NAMES)
    other = next(i for i, name in enumerate(NAMES) if name != hashed)
    view.apply(delta(1, {7: other}))
    assert (view.home(7, NAMES), view.version) == (NAMES[other], 1)
    view.apply(delta(2, {7: -1}))
    assert view.home(7, NAMES) == hashed


def test_a_full_delta_replaces_all() -> None:
    view = PlacementView()
    hashed = view.home(7, NAMES)
    view.apply(delta(1, {7: next(i for i, name in enumerate(NAMES) if name != hashed)}))
    view.apply(delta(2, {}, full=True))
    assert view.home(7, NAMES) == hashed


def test_a_home_that_is_gone_is_not_chosen() -> None:
    view = PlacementView()
    view.apply(delta(1, {7: 2}))
    assert view.home(7, ("a", "b")) in ("a", "b")


def test_replicas_the_controller_does_not_know_get_nobody_while_others_run() -> None:
    view = PlacementView()
    view.apply(delta(1, {}, full=True))
    running = (*NAMES, "new")
    assert "new" not in {view.home(key, running) for key in range(200)}
    assert view.home(1, ("new",)) == "new"


@pytest.mark.parametrize("part", ["ingress", "router"])
def test_ingress_and_router_share_what_their_process_has(part: str) -> None:
    """Serve sends both as copies of all that they name: copies of these would never meet."""
    name = "scalesim.deployments.router.ResidencyRouter"
    router = RequestRouterConfig(request_router_class=name)._serialized_request_router_cls
    sent = {"ingress": cloudpickle.dumps(Ingress.func_or_class), "router": router}[part]
    assert PlacementView.__name__.encode() not in sent
    assert Rotation.__name__.encode() not in sent

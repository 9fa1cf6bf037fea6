"""Which device, whether all engines fit, how many share a machine."""

from typing import Any

import pytest

from scalesim.deployments.nodes import (
    Node,
    check_gpus,
    device_of,
    engines_at,
    ingress_processes,
    nodes_of,
)
from scalesim.errors import ConfigurationError
from scalesim.settings import IngressSettings, StackSettings

HEAD = Node("10.0.0.1", 0, 8)
WORKERS = [Node("10.0.0.2", 8, 64), Node("10.0.0.3", 4, 64)]


def stack(replicas: int = 1, cpus: float = 0.5, **engine: Any) -> StackSettings:
    values = {"model_path": "m", **engine}
    return StackSettings.model_validate(
        {"engine": values, "replicas": replicas, "cpus_per_replica": cpus}
    )


def test_auto_is_what_the_cluster_has() -> None:
    assert device_of(stack(), [HEAD]) == "cpu"
    assert device_of(stack(), [HEAD, *WORKERS]) == "cuda"
    assert device_of(stack(device="cpu"), [HEAD, *WORKERS]) == "cpu"
    assert device_of(stack(device="cuda"), [HEAD]) == "cuda"


def test_nodes_that_are_gone_do_not_count() -> None:
    described = [
        {"NodeManagerAddress": "a", "Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"NodeManagerAddress": "b", "Alive": False, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"NodeManagerAddress": "c", "Alive": True, "Resources": {}},
    ]
    assert nodes_of(described) == [Node("a", 1, 4), Node("c", 0, 0)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (stack(tp_size=16), "tp_size is 16, but the largest machine has 8"),
        (stack(13), "use replicas <= 12"),
        (stack(4, tp_size=4), "use replicas <= 3"),
        (stack(2, tp_size=8), "use replicas <= 1"),
    ],
)
def test_engines_without_a_place_are_refused(settings: StackSettings, message: str) -> None:
    cluster = [HEAD, *WORKERS]
    with pytest.raises(ConfigurationError, match=message):
        check_gpus(settings, cluster, grows=False)
    check_gpus(settings, cluster, grows=True)


def test_what_fits_is_not_refused() -> None:
    check_gpus(stack(12), WORKERS, grows=False)
    check_gpus(stack(3, tp_size=4), WORKERS, grows=False)
    check_gpus(stack(100), [HEAD], grows=False)  # on the CPU
    with pytest.raises(ConfigurationError, match="sees no GPU"):
        check_gpus(stack(device="cuda"), [HEAD], grows=True)


def test_engines_that_may_share_a_machine() -> None:
    cluster = [HEAD, *WORKERS]
    assert engines_at(stack(12), cluster, "10.0.0.2") == 8
    assert engines_at(stack(12), cluster, "10.0.0.3") == 4
    assert engines_at(stack(12, tp_size=4), cluster, "10.0.0.2") == 2
    assert engines_at(stack(3), cluster, "10.0.0.2") == 3
    assert engines_at(stack(3), cluster, "elsewhere") == 1
    twins = [Node("a", 1, 4), Node("a", 1, 4)]  # two Ray nodes of one machine
    assert engines_at(stack(2), twins, "a") == 2
    assert engines_at(stack(100), [HEAD], HEAD.address) == 16
    assert engines_at(stack(100, cpus=0), [HEAD], HEAD.address) == 100


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 1), (3, 2), (8, 2), (16, 4), (96, 8)])
def test_a_machine_has_as_many_ingresses_as_its_cores_can_do_with(
    cores: int, processes: int
) -> None:
    cluster = [Node("here", 0, cores), Node("there", 8, 128)]
    assert ingress_processes(stack(), cluster, "here") == processes


def test_a_cluster_has_an_ingress_a_node_unless_set_otherwise() -> None:
    assert ingress_processes(stack(), [HEAD, *WORKERS], None) == 3
    five = stack().model_copy(update={"ingress": IngressSettings(processes=5)})
    assert ingress_processes(five, [HEAD, *WORKERS], None) == 5

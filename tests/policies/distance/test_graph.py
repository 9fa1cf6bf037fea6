import numpy as np
import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.distance.graph import Diffusion, Workflow

INF = float("inf")
DIAMOND = np.array([[0, 1], [0, 2], [2, 3], [1, 4], [3, 4]])


def rows(*values):
    return np.array(values, dtype=np.int64)


def test_a_join_waits_for_its_last_parent():
    transfer = Workflow(5, DIAMOND)
    transfer.update(running=rows(0), finished=rows())
    assert transfer.distances(0).tolist() == [0, 1, 1, 2, 3]
    transfer.update(running=rows(2), finished=rows(0, 1))
    assert transfer.distances(0).tolist() == [INF, INF, 0, 1, 2]


def test_a_workflow_that_has_not_begun_starts_at_its_roots():
    assert Workflow(5, DIAMOND).distances(0).tolist() == [0, 1, 1, 2, 3]


def test_agents_outside_any_edge_are_roots():
    assert Workflow(2, np.zeros((0, 2), np.int64)).distances(0).tolist() == [0, 0]


def test_a_cycle_is_refused():
    with pytest.raises(InvalidRequestError, match="cycle"):
        Workflow(3, np.array([[0, 1], [1, 2], [2, 0]]))


def test_certain_edges_are_hops():
    line = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    news = Diffusion(6, line, max_hops=4)
    news.update(running=rows(0), spent=rows())
    assert news.distances(0).tolist() == [0, 1, 2, 3, 4, INF]


def test_unlikely_edges_are_long():
    news = Diffusion(3, np.array([[0, 1], [0, 2], [2, 1]]), np.array([0.1, 0.5, 0.5]))
    news.update(running=rows(0), spent=rows())
    assert news.distances(0).tolist() == [0, 4, 2], "the way around is likelier"


def test_who_has_been_reached_is_not_reached_again():
    news = Diffusion(3, np.array([[0, 1], [1, 0], [1, 2]]))
    news.update(running=rows(1), spent=rows(0, 1))
    assert news.distances(0).tolist() == [INF, 0, 1]

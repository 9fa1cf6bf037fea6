import numpy as np

from scalesim.policies.distance.turn_order import Order, ShuffledStep

INF = float("inf")


def test_the_position_is_a_fraction_of_the_step():
    order = Order(5)
    order.begin(np.array([3, 1, 0, 2]))
    assert order.distances(0).tolist() == [0.5, 0.25, 0.75, 0, INF]
    order.ran(2)
    assert order.distances(0).tolist() == [0, INF, 0.25, INF, INF]


def test_round_robin_begins_again():
    order = Order(4, repeats=True)
    order.begin(np.array([0, 1, 2, 3]))
    order.ran()
    assert order.distances(0).tolist() == [0.75, 0, 0.25, 0.5]


def test_in_a_shuffled_step_who_has_not_run_comes_first():
    step = ShuffledStep(4)
    step.ran(np.array([2, 0]))
    distances = step.distances(0)
    assert distances[[1, 3]].max() < distances[[0, 2]].min()
    assert distances.tolist() == [0.875, 0.125, 0.875, 0.125]
    step.begin()
    assert len(set(step.distances(1).tolist())) == 1

import numpy as np

from scalesim.policies.distance.estimator_base import Nearest
from scalesim.policies.distance.scheduled import Wake

INF = float("inf")


def test_the_nearest_reason_counts():
    first, second = Wake(3), Wake(3)
    first.wake(np.array([0, 1]), np.array([4.0, 1.0]))
    second.wake(np.array([0]), np.array([2.0]))
    assert Nearest(first, second).distances(0).tolist() == [2, 1, INF]

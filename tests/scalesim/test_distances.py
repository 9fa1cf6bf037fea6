"""Estimators under the name that users import them by."""

from __future__ import annotations

import numpy as np
import pytest

from scalesim import distances


@pytest.mark.parametrize("name", sorted(set(distances.__all__) - {"Estimator"}))
def test_every_name_is_an_estimator(name: str) -> None:
    assert callable(getattr(distances, name).distances)


def test_what_it_answers_is_what_a_simulation_reports() -> None:
    wake = distances.Wake(3)
    wake.wake(np.array([1]), np.array([4.0]))
    assert distances.Nearest(wake).distances(1.0).tolist() == [float("inf"), 3.0, float("inf")]

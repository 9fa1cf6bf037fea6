import numpy as np

from scalesim.simulations.emulated.hint_noise import WRONG_STEPS, HintNoise

ROWS = np.arange(200)


def test_without_noise_all_is_as_it_is() -> None:
    noise = HintNoise(0.0, 1000, 0)
    assert noise.foreseen(3, 1, ROWS) is ROWS
    assert noise.next_use(3, 5, 9.0) == 9.0


def test_a_share_of_hints_is_wrong_and_the_same_again() -> None:
    noise, again = HintNoise(0.3, 1000, 0), HintNoise(0.3, 1000, 0)
    said = noise.foreseen(3, 1, ROWS)
    assert 0.2 < np.mean(said != ROWS) < 0.4
    assert said.tolist() == again.foreseen(3, 1, ROWS).tolist()
    uses = [noise.next_use(3, row, 50.0) for row in ROWS]
    wrong = [use for use in uses if use != 50.0]
    assert 0.2 < len(wrong) / len(ROWS) < 0.4
    assert all(4 <= use <= 3 + WRONG_STEPS for use in wrong)


def test_who_acts_now_is_known() -> None:
    assert HintNoise(1.0, 1000, 0).foreseen(3, 0, ROWS) is ROWS

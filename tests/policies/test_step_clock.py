from scalesim.policies.step_clock import StepClock


def test_the_clock_learns_how_long_steps_take():
    clock = StepClock(step_s=1.0, weight=0.5)
    clock.tick(0, 100.0)
    assert clock.step_s == 1
    clock.tick(1, 108.0)
    assert clock.step_s == 8, "the first step seen replaces the guess"
    clock.tick(3, 116.0)
    assert clock.step_s == 6, "then each counts by its weight"


def test_a_clock_set_back_does_no_harm():
    clock = StepClock(step_s=3.0)
    for step, now_s in [(5, 10.0), (4, 20.0), (4, 20.0), (5, 19.0)]:
        clock.tick(step, now_s)
    assert clock.step_s == 3.0

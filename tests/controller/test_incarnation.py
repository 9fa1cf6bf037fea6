from scalesim.controller.clock import next_incarnation


def test_the_clock_alone_makes_it_grow() -> None:
    assert next_incarnation(100.0) == 100_000
    assert next_incarnation(100.001) > next_incarnation(100.0)


def test_what_is_remembered_is_exceeded_when_the_clock_went_back() -> None:
    assert next_incarnation(1.0, saved=5000) == 5001
    assert next_incarnation(1.0, saved=5000, seen=7000) == 7001

from scalesim.controller.interner import FREE, Interner


def test_numbers_follow_the_order_of_appearance() -> None:
    names = Interner()
    assert [names.number(name) for name in ("b", "a", "b")] == [0, 1, 0]
    assert list(names) == ["b", "a"]
    assert names.find("c") is None


def test_a_freed_number_goes_to_the_next_name() -> None:
    names = Interner(["a", "b", "c"])
    names.free(1)
    assert names[1] == FREE
    assert names.find("b") is None
    assert names.number("d") == 1
    assert names.number("e") == 3


def test_saved_names_keep_their_numbers() -> None:
    names = Interner(["a", FREE, "c"])
    assert names.find("c") == 2
    assert names.number("b") == 1
    assert list(names) == ["a", "b", "c"]

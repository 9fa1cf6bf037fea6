import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.deployments.engine.prefixes import MAX_PREFIXES, Prefix, common_pages, learn, pages

PAGE = 4
SPACE = (None, "salt")


def prefix(tokens: list[int], prompt: int | None = None, space: tuple = SPACE) -> Prefix:
    whole = len(tokens) // PAGE * PAGE
    length = len(tokens) if prompt is None else prompt
    return Prefix(np.array(tokens, np.int64), length, space, whole)


def test_the_first_prompt_is_expected_whole() -> None:
    assert learn([], prefix(list(range(10))), PAGE)[0].length == 8


def test_what_two_prompts_share_is_expected_again() -> None:
    persona = list(range(9))
    known = learn([], prefix([*persona, 50, 51, 52, 53]), PAGE)
    known = learn(known, prefix([*persona, 60, 61, 62, 63]), PAGE)
    assert [p.length for p in known] == [8]
    known = learn(known, prefix([*persona, 70, 71, 72, 73]), PAGE)
    assert [p.length for p in known] == [8]


def test_a_chat_that_grows_is_expected_whole() -> None:
    turn = list(range(8))
    known = learn([], prefix([*turn, 90, 91], prompt=8), PAGE)
    known = learn(known, prefix([*turn, 90, 91, 1, 2, 3, 4], prompt=14), PAGE)
    assert [p.length for p in known] == [12]


def test_another_purpose_is_another_prefix() -> None:
    known = learn([], prefix([1] * 8), PAGE)
    known = learn(known, prefix([2] * 8), PAGE)
    assert [p.tokens[0] for p in known] == [2, 1]


def test_other_name_spaces_share_nothing() -> None:
    known = learn([], prefix([1] * 8), PAGE)
    known = learn(known, prefix([1] * 8, space=("adapter", "salt")), PAGE)
    assert len(known) == 2


def test_only_the_latest_purposes_are_remembered() -> None:
    known: list[Prefix] = []
    for purpose in range(MAX_PREFIXES + 3):
        known = learn(known, prefix([purpose] * 8), PAGE)
    assert [int(p.tokens[0]) for p in known] == [6, 5, 4, 3]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_pages_are_what_a_loop_finds(a: list[int], b: list[int]) -> None:
    expected = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        expected += 1
    assert (
        common_pages(np.array(a, np.int64).tobytes(), np.array(b, np.int64).tobytes()) == expected
    )


def test_pages_tell_sequences_apart() -> None:
    tokens = np.random.default_rng(1).integers(0, 128_000, 64)
    numbers = pages(tokens, PAGE)
    assert len(numbers) == 16 * 8
    assert len({numbers[at : at + 8] for at in range(0, len(numbers), 8)}) == 16
    assert pages(tokens[:62].astype(np.int32), PAGE) == numbers[: 15 * 8]
    swapped = tokens.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    assert common_pages(pages(swapped, PAGE), numbers) == 0


def test_little_is_kept_of_a_long_sequence() -> None:
    tokens = np.arange(8192)
    (known,) = learn([], Prefix(tokens, 8192, SPACE, 8192), 16)
    assert known.tokens.tolist() == tokens.tolist()
    (small,) = learn([], Prefix(tokens, 8192, SPACE, 8192), 16, tokens=False)
    assert small.tokens.nbytes + len(small.pages) == 4096

"""What scheduled agents say."""

from __future__ import annotations

import pytest

from scalesim.simulations.wording import TOKEN_WORDS, VillageTalk, Wording


@pytest.mark.parametrize("wording", [TOKEN_WORDS, VillageTalk()])
def test_the_same_place_says_the_same_and_another_something_else(wording: Wording) -> None:
    def private(seed: int, row: int) -> str:
        return wording.private(seed, f"villager-{row}", row, 200)

    assert private(0, 3) == private(0, 3)
    assert len({private(0, 3), private(0, 4), private(1, 3)}) == 3
    seen = {wording.observation(0, row, step, 0, 24) for row in range(4) for step in range(8)}
    assert len(seen) > 8


@pytest.mark.parametrize("tokens", [64, 768, 4096])
def test_english_has_room_for_its_tokens(tokens: int) -> None:
    text = VillageTalk().private(0, "villager-07", 7, tokens)
    assert text.startswith("You are villager-07, the ")
    assert 0.55 * tokens <= len(text.split()) <= max(0.7 * tokens, 60)

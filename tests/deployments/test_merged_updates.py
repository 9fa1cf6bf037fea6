from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.deployments.engine.messages import Hello
from scalesim.deployments.merged_updates import merged
from scalesim.vocabulary import Budgets, Residency, TransferStats

ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 2), st.booleans(), st.sampled_from(["prefix", "adapter"])
    ),
    max_size=24,
)


def message(kind: str, rows: list[tuple[int, int, bool]]) -> Residency:
    keys, held, in_use = (np.array(column) for column in zip(*rows, strict=True))
    sizes = held.astype(np.int64)
    return Residency(kind, keys.astype(np.int64), sizes, sizes, sizes, sizes + 1, in_use)


class FollowingController:
    """What a controller knows, and what it counts as a payload comes into use."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, int], tuple[int, bool]] = {}
        self.uses: dict[tuple[str, int], list[int]] = {}

    def follow(self, update: tuple[Residency | TransferStats, ...]) -> FollowingController:
        for one in update:
            assert isinstance(one, Residency)
            rows = zip(one.keys.tolist(), one.device_bytes.tolist(), one.in_use, strict=True)
            for key, held, in_use in rows:
                before = self.known.get((one.kind, key), (0, False))
                if in_use and not before[1]:
                    self.uses.setdefault((one.kind, key), []).append(before[0])
                self.known[one.kind, key] = (held, bool(in_use))
        return self


@given(ROWS, st.integers(1, 4))
def test_it_leaves_the_controller_with_the_same(
    rows: list[tuple[int, int, bool, str]], size: int
) -> None:
    messages = [
        message(kind, part)
        for start in range(0, len(rows), size)
        for kind in ("prefix", "adapter")
        if (part := [row[:3] for row in rows[start : start + size] if row[3] == kind])
    ]
    one_by_one, at_once = FollowingController(), FollowingController()
    for one in messages:
        for row in range(one.keys.size):
            one_by_one.follow((Residency(one.kind, *(c[row : row + 1] for c in one[1:])),))
    update = merged(messages)
    at_once.follow(update)
    assert (at_once.known, at_once.uses) == (one_by_one.known, one_by_one.uses)


def test_ten_passes_in_which_nothing_begins_are_one_row_of_each_agent() -> None:
    rows = [[(key, number, False) for key in range(16)] for number in range(10)]
    (update,) = merged([message("prefix", each) for each in rows])
    assert isinstance(update, Residency)
    assert update.keys.tolist() == list(range(16))
    assert set(update.device_bytes.tolist()) == {9}


def test_the_latest_counters_of_a_kind_count_and_a_hello_is_no_news() -> None:
    hello = Hello(("prefix",), (Budgets(1, 1, 1),), 1)
    stats = [TransferStats("prefix", issued=number) for number in (1, 2)]
    assert merged([hello, *stats]) == (stats[1],)

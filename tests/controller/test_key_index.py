import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scalesim.controller.key_index import MISSING, KeyIndex
from tests.support.controller_world import keys

int64s = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)


class IndexAgainstDict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = KeyIndex()
        self.rows: dict[int, int] = {}

    @rule(new=st.sets(int64s, max_size=600))
    def add(self, new: set[int]) -> None:
        missing = [key for key in new if key not in self.rows]
        rows = self.index.add(keys(*missing)).tolist()
        assert not set(rows) & set(self.rows.values())
        self.rows.update(zip(missing, rows, strict=True))

    @rule(data=st.data(), strangers=st.lists(int64s, max_size=5))
    def remove(self, data: st.DataObject, strangers: list[int]) -> None:
        known = data.draw(st.lists(st.sampled_from(sorted(self.rows)))) if self.rows else []
        gone = {key: self.rows.pop(key) for key in {*known, *strangers} if key in self.rows}
        freed = self.index.remove(keys(*known, *strangers))
        assert sorted(freed.tolist()) == sorted(gone.values())

    @rule(asked=st.lists(int64s))
    def find(self, asked: list[int]) -> None:
        expected = [self.rows.get(key, MISSING) for key in asked]
        assert self.index.find(keys(*asked)).tolist() == expected

    @invariant()
    def knows_all(self) -> None:
        assert len(self.index) == len(self.rows)
        assert self.index.find(keys(*self.rows)).tolist() == list(self.rows.values())
        assert max(self.rows.values(), default=-1) < self.index.capacity


TestIndexAgainstDict = pytest.mark.slow(IndexAgainstDict.TestCase)


@given(st.integers(1, 5000))
def test_rows_are_dense_and_in_the_order_of_the_keys(count: int) -> None:
    rows = KeyIndex().add(np.arange(count)[::-1].copy())
    assert rows.tolist() == list(range(count))


def test_removed_rows_are_given_again_before_new_ones() -> None:
    index = KeyIndex()
    index.add(keys(*range(100)))
    freed = index.remove(keys(3, 5, 7))
    assert set(index.add(keys(200, 201)).tolist()) < set(freed.tolist())
    assert index.capacity == 100


def test_coming_and_going_for_ever_does_not_grow_it() -> None:
    index = KeyIndex()
    for turn in range(200):
        batch = np.arange(100, dtype=np.int64) + turn * 100
        index.add(batch)
        index.remove(batch)
    assert len(index) == 0
    assert index.nbytes < 40_000

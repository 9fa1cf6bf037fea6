"""Connections counted in several processes as if in one."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.controller.connection_counts import TABLE_BYTES, ConnectionCounts, table_in


def test_a_share_is_that_of_the_processes_that_are_there() -> None:
    table = table_in(bytearray(TABLE_BYTES))
    first, second = ConnectionCounts(table, 0), ConnectionCounts(table, 1)
    for _ in range(2):
        first.add("a")
    assert not first.over_its_share()
    first.add("a")
    assert first.over_its_share()
    assert not second.over_its_share()
    second.add("b")
    assert not first.over_its_share()


@given(st.lists(st.tuples(st.integers(0, 3), st.ip_addresses(v=4).map(str)), max_size=60))
def test_what_any_process_counts_all_know(made: list[tuple[int, str]]) -> None:
    table = table_in(bytearray(TABLE_BYTES))
    processes = [ConnectionCounts(table, row) for row in range(4)]
    for process, address in made:
        processes[process].add(address)
    counts = Counter(address for _, address in made)
    for each in processes:
        assert each.total == len(made)
        assert {address: each.of(address) for address in counts} == counts
    for process, address in made:
        processes[process].remove(address)
    assert not np.any(np.delete(table, 1, axis=0))

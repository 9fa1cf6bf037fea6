"""Connections counted in several processes as if in one."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.controller.connection_counts import TABLE_BYTES, ConnectionCounts, table_in


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
    assert not np.any(table)

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.replay.trace import format_trace, make_trace, parse_trace
from scalesim.errors import InvalidRequestError


def test_other_fields_are_ignored_and_sizes_keep_their_largest():
    trace = parse_trace(
        [
            '{"step": 0, "agent": "a", "bytes": 5, "place": 3, "t": 0.5}',
            "",
            '{"step": 2, "agent": "b", "output_tokens": 7}',
            '{"step": 2, "agent": "a", "bytes": 4, "prompt_tokens": 9}',
        ]
    )
    assert trace.names == ("a", "b")
    assert trace.step.tolist() == [0, 2, 2]
    assert trace.agent.tolist() == [0, 1, 0]
    assert trace.size_bytes.tolist() == [5, 0]
    assert trace.prompt_tokens.tolist() == [0, 0, 9]
    assert trace.output_tokens.tolist() == [0, 7, 0]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1))
def test_a_written_trace_reads_back(events):
    step, agent = np.array(sorted(events, key=lambda e: e[0])).T
    again = parse_trace(format_trace(make_trace(step, agent, 4)))
    assert again.step.tolist() == step.tolist()
    assert [again.names[a] for a in again.agent] == [f"agent-{a}" for a in agent]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("not json", "agent"),
        ("[1]", "agent"),
        ("[" * 100_000, "agent"),
        ('{"step": 0}', "agent"),
        ('{"agent": "a"}', "step"),
        ('{"step": true, "agent": "a"}', "step"),
        ('{"step": -1, "agent": "a"}', "step"),
        ('{"step": 1.5, "agent": "a"}', "step"),
        ('{"step": 0, "agent": "a", "bytes": "9"}', "bytes"),
        ('{"step": 0, "agent": "a", "bytes": 1e400}', "bytes"),
        ('{"step": 0, "agent": "a", "prompt_tokens": 99999999999999999999}', "prompt_tokens"),
    ],
)
def test_a_bad_line_is_named(line, field):
    good = json.dumps({"step": 0, "agent": "a"})
    with pytest.raises(InvalidRequestError, match="line 2") as caught:
        parse_trace([good, line])
    assert caught.value.field == field


def test_steps_must_not_go_back_and_something_must_be_there():
    with pytest.raises(InvalidRequestError, match="sort the trace"):
        parse_trace(['{"step": 3, "agent": "a"}', '{"step": 2, "agent": "a"}'])
    with pytest.raises(InvalidRequestError, match="empty"):
        parse_trace([])

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.activation_trace import format_trace, make_trace, parse_trace


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


@pytest.mark.slow
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
        ('{"step": -0.5, "agent": "a"}', "step"),
        ('{"step": NaN, "agent": "a"}', "step"),
        ('{"step": 1e400, "agent": "a"}', "step"),
        ('{"step": 0, "agent": 1.5}', "agent"),
        ('{"step": 0, "agent": true}', "agent"),
        ('{"step": 0, "agent": "a", "output_tokens": 1.5}', "output_tokens"),
        ('{"step": 0, "agent": "a", "output_tokens": true}', "output_tokens"),
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


def test_lines_may_be_in_any_order_and_those_of_a_step_keep_theirs():
    rows = [(3, "a"), (0.9, "b"), (3, "c"), (0.2, "a"), (2**43, "b")]
    trace = parse_trace(json.dumps({"step": step, "agent": agent}) for step, agent in rows)
    assert trace.step.tolist() == [0, 0, 3, 3, 2**43]  # of 0.2 and 0.9 the whole part
    assert [trace.names[agent] for agent in trace.agent] == ["a", "b", "a", "c", "b"]


def test_ids_may_be_numbers_of_any_width_and_counts_may_be_floats_or_null():
    lines = [
        '{"step": 0, "agent": 18446744073709551615999, "prompt_tokens": 12.0}',
        '{"step": 0, "agent": -7, "prompt_tokens": null}',
        '{"step": 0, "agent": "18446744073709551615999"}',
    ]
    trace = parse_trace(lines)
    assert trace.names == ("18446744073709551615999", "-7")
    assert trace.agent.tolist() == [0, 1, 0]
    assert trace.prompt_tokens.tolist() == [12, 0, 0]


def test_something_must_be_there():
    with pytest.raises(InvalidRequestError, match="empty"):
        parse_trace(["", " "])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('{"timestamp": 0, "input_length": 9, "output_length": 1, "hash_ids": [0]}', "Mooncake"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens", "Azure"),
        ("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type", "BurstGPT"),
    ],
)
def test_a_trace_of_others_is_known_and_pointed_to_convert(line, name):
    with pytest.raises(InvalidRequestError, match=f"line 1 .* {name} .*`scalesim trace convert`"):
        parse_trace([line])

import json

import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.convert import Conversations, events
from scalesim.policies.replay.formats import Request, requests

MOONCAKE = """
{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 48, 49]}
{"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 47, 48, 50, 51]}
""".splitlines()
BURST = """
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.5,GPT-4,1087,0,1087,API log
""".splitlines()
BURST_2 = """
Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
19440110.0,1722ac82-0a46-4bf0-aa08-89794e7a2b3f,43,GPT-4,906,446,1352,Conversation log
19440161.0,,2,ChatGPT,36,29,65,API log
""".splitlines()
AZURE = """
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
""".splitlines()
AZURE_2024 = """
TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:01:00+00:00,2399,6
""".splitlines()
AZURE_2025 = """
TIMESTAMP,NumImages,ContextTokens,GeneratedTokens
2024-10-15 00:00:00.0000000,2,900,120
""".splitlines()


def converted(lines, origin_s, **more):
    return list(events(requests(lines), origin_s=origin_s, **more))


def test_mooncake():
    assert converted(MOONCAKE, 27.482) == [
        {"step": 0, "agent": "conversation-0", "prompt_tokens": 6955, "output_tokens": 52},
        {"step": 3, "agent": "conversation-0", "prompt_tokens": 6472, "output_tokens": 26},
    ]


def test_burstgpt():
    rows = converted(BURST, 5.0, agents=1, step_s=10)
    assert rows == [
        {"step": 0, "agent": "agent-0", "prompt_tokens": 472, "output_tokens": 18},
        {"step": 4, "agent": "agent-0", "prompt_tokens": 1087},  # it failed
    ]


def test_burstgpt_with_sessions():
    with pytest.raises(InvalidRequestError, match=r"request 2 .* --agents N"):
        converted(BURST_2, 19440110.0)
    rows = converted(BURST_2, 19440110.0, agents=5)
    assert rows[0]["agent"] == "1722ac82-0a46-4bf0-aa08-89794e7a2b3f"
    assert rows[1]["agent"].startswith("agent-")


@pytest.mark.parametrize(
    ("lines", "steps", "prompts"),
    [
        (AZURE, [0, 4], [374, 396]),
        (AZURE_2024, [0, 59], [2162, 2399]),
        (AZURE_2025, [0], [900]),
        (
            [
                f'{{"TIMESTAMP": "{t}", "ContextTokens": 3.0, "GeneratedTokens": 1}}'
                for t in ("2024-05-10T00:00:00Z", "2024-05-10 00:00:09")
            ],
            [0, 9],
            [3, 3],
        ),
    ],
)
def test_azure(lines, steps, prompts):
    origin_s = min(request.time_s for request in requests(lines))
    rows = converted(lines, origin_s, agents=3)
    assert [row["step"] for row in rows] == steps
    assert [row["prompt_tokens"] for row in rows] == prompts


def test_dealing_is_seeded_and_uneven():
    asked = [Request(float(n), "", 1, 1, ()) for n in range(200)]
    first, again, other = (
        [row["agent"] for row in events(asked, origin_s=0.0, agents=10, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert set(first) == {f"agent-{n}" for n in range(10)}


def test_conversations_share_a_system_prompt_and_go_on():
    who = Conversations().of
    assert who(("s", "a1", "a2")) == 0
    assert who(("s", "b1")) == 1  # one block in common is everybody's
    assert who(("s", "a1", "a2", "a3")) == 0
    assert who(("s", "a1", "a2", "x3", "x4")) == 0  # the last block was cut short
    assert who(("s", "a1", "y2")) == 2  # leaves the conversation far from its end
    assert who(("s",)) == 3
    assert who(("s", "b1", "b2")) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        (["a,b", "1,2"], "line 2 .* no format that is known"),
        ([*AZURE, "2023-11-16 18:15:50,396"], "line 5 .* 2 columns, its first line 3"),
        ([*AZURE, "yesterday,1,2"], "line 5 .* TIMESTAMP 'yesterday'"),
        ([*BURST, "nan,m,1,2,3,l"], "line 5 .* Timestamp"),
        ([*BURST, "1,m,1.5,2,3,l"], "line 5 .* Request tokens"),
        ([*BURST, "1,m,1,-2,3,l"], "line 5 .* Response tokens"),
        ([*MOONCAKE, "{"], "line 4 .* not a JSON object"),
        ([*MOONCAKE, '{"timestamp": 1, "input_length": 1}'], "line 4 .* output_length None"),
        (
            [*MOONCAKE, '{"timestamp":1,"input_length":1,"output_length":1,"hash_ids":7}'],
            "line 4 .* hash_ids 7",
        ),
    ],
)
def test_a_bad_line_is_named(lines, message):
    with pytest.raises(InvalidRequestError, match=message):
        list(requests(lines))


def test_steps_have_a_length():
    with pytest.raises(InvalidRequestError, match="more than 0"):
        converted(AZURE, 0.0, step_s=0)
    with pytest.raises(InvalidRequestError, match="before the trace begins"):
        converted(AZURE, 1e12, agents=1)


def test_events_are_json():
    assert json.loads(json.dumps(converted(MOONCAKE, 27.482)[0]))["step"] == 0

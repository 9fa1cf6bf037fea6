"""The whole path with real parts: HTTP, Ray Serve, two SGLang engines, controller, Valkey."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import msgspec
import pytest

from benchmarks.reliability import parts
from scalesim.deployments.engine import cpu
from scalesim.deployments.engine.assignments import Assignments
from scalesim.deployments.ingress import ROUTES
from scalesim.deployments.machine.gpus import visible_gpus
from scalesim.deployments.middleware import OPEN_PATHS
from scalesim.deployments.stack import Stack
from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings, StackSettings
from tests.support.only_stack import OnlyStack
from tests.support.stack_client import StackClient, text_of, words

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.asyncio(loop_scope="session")]
without_a_gpu = pytest.mark.skipif(bool(visible_gpus()), reason="there is one")


@pytest.mark.parametrize(("method", "path", "_"), ROUTES)
async def test_every_route_needs_the_key(
    client: StackClient, method: str, path: str, _: str
) -> None:
    where = client.stack.base_url + path.replace(":path", "").format(
        simulation="town", agent="bob", model="m"
    )
    async with httpx.AsyncClient() as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await stranger.request(method, where, headers=headers)
            assert answer.status_code == (200 if path in OPEN_PATHS else 401)
            if answer.status_code == 401:
                assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_chat_is_openais_with_our_headers(client: StackClient) -> None:
    # Who acts again at once stays on the device, however long the machine takes for it.
    first, second = await client.ask(100, next_use=0), await client.ask(100)
    assert text_of(first) == text_of(second)
    assert first.headers["x-scalesim-residency"] == "miss"
    assert second.headers["x-scalesim-residency"] == "device"
    assert second.headers["x-scalesim-replica"] == first.headers["x-scalesim-replica"]
    cached = second.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached >= 240
    assert f"device={cached}" in second.headers["x-scalesim-cached-tokens"]


async def test_streams_carry_the_same_text_and_usage(client: StackClient) -> None:
    whole = await client.ask(101, next_use=0)
    body = {"stream": True, "stream_options": {"include_usage": True}}
    streamed = await client.ask(101, **body)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["x-scalesim-residency"] == "device"
    lines = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    assert text == text_of(whole)
    assert chunks[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] >= 240


async def test_text_completions_models_and_metrics_answer(client: StackClient) -> None:
    body = {
        "model": "scalesim",
        "prompt": words(3, 64),
        "max_tokens": 2,
        "temperature": 0,  # an answer that is drawn may be an end token alone
        "user": "bob",
    }
    for _ in range(2):  # the second prompt is found on the device
        answer = await client.http.post("/v1/completions", json=body)
        assert answer.json()["choices"][0]["text"]
    models = (await client.http.get("/v1/models")).json()
    assert [model["id"] for model in models["data"]] == ["scalesim", "tune"]
    assert {model["context_length"] for model in models["data"]} == {1018}
    metrics = (await client.http.get("/metrics")).text
    assert re.search(r'scalesim_requests_total\{[^}]*residency="device"', metrics)


async def test_three_places_tell_their_own_figures_and_ask_for_the_key(
    client: StackClient,
) -> None:
    await client.ask(101)
    scraped = await client.scrapes()
    assert len({answer.url for answer in scraped.values()}) == 3
    async with httpx.AsyncClient() as stranger:
        for answer in scraped.values():
            assert (await stranger.get(answer.url)).status_code == 401
    texts = {name: answer.text for name, answer in scraped.items()}
    texts["ingress"] = (await client.http.get("/metrics")).text
    for metric, owners in {
        "scalesim_requests_total": {"ingress"},
        "scalesim_replicas": {"controller"},
        "scalesim_replica_requests_total": set(scraped) - {"controller"},
        "scalesim_loop_stalled_seconds": set(texts),
    }.items():
        assert {name for name, text in texts.items() if f"\n{metric}" in text} == owners


async def test_a_request_names_its_model(client: StackClient) -> None:
    own, tuned = await client.ask(103), await client.ask(103, model="tune")
    assert tuned.json()["model"] == "tune"
    assert text_of(tuned) != text_of(own)
    assert tuned.headers["x-scalesim-residency"] == "miss"
    again = [await client.ask(103), await client.ask(103, model="tune")]
    assert [text_of(answer) for answer in again] == [text_of(own), text_of(tuned)]


async def test_an_agent_has_its_own_model_where_it_names_none(
    client: StackClient, tunes: str
) -> None:
    own, tuned = await client.ask(104), await client.ask(104, model="tune")
    assert text_of(tuned) != text_of(own)
    given = Assignments(Path(tunes))
    given.assign("tune", ["default/agent-104"])
    assert text_of(await client.ask(104)) == text_of(tuned)
    given.forget("tune")
    assert text_of(await client.ask(104)) == text_of(own)


async def test_tools_and_later_parameters_are_taken(client: StackClient) -> None:
    tool = {"type": "function", "function": {"name": "walk", "parameters": {"type": "object"}}}
    answer = await client.ask(102, tools=[tool], tool_choice="none", max_completion_tokens=3)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "param"),
    [
        ({"model": "gpt-7"}, {}, 404, "model"),
        ({"max_tokens": "many"}, {}, 400, "max_tokens"),
        ({"messages": "hello"}, {}, 400, "messages"),
        ({"temperature": -1}, {}, 400, "temperature"),
        ({"max_tokens": 100_000}, {}, 400, "max_tokens"),
        ({"max_tokens": 1017, "stream": True}, {}, 400, "max_tokens"),
        ({"messages": [{"role": "user", "content": words(1, 2000)}]}, {}, 400, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, {}, 400, "messages.0.content"),
        ({"stop_regex": "(\\w+\\s?)+#"}, {}, 400, "stop_regex"),
        ({"rid": "0"}, {}, 400, "rid"),
        ({"logprobs": True, "top_logprobs": 100_000}, {}, 400, "top_logprobs"),
        ({"chat_template_kwargs": {"tokenize": False}}, {}, 400, "chat_template_kwargs"),
        ({}, {"X-Agent-Id": "x" * 300}, 400, "X-Agent-Id"),
        ({}, {"X-Agent-Id": "%00"}, 400, "X-Agent-Id"),
        ({}, {"X-Simulation-Id": "a b"}, 400, "X-Simulation-Id"),
        ({}, {"X-Agent-Next-Use": "-inf"}, 400, "X-Agent-Next-Use"),
        ({"user": {"name": "bob"}}, {}, 400, "user"),
    ],
)
async def test_bad_requests_name_what_is_wrong(
    client: StackClient, body: dict, headers: dict, status: int, param: str | None
) -> None:
    good = {"model": "scalesim", "messages": [{"role": "user", "content": "w1"}]}
    answer = await client.http.post("/v1/chat/completions", json=good | body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["message"] != "") == (status, True)
    assert param is None or str(error["param"]).startswith(param)


@pytest.mark.parametrize("prompt", [" ", ["", "w1"], [5, 151_645], [[5], [151_645]]])
async def test_prompts_that_end_engines_reach_none(client: StackClient, prompt: object) -> None:
    others = asyncio.gather(*(client.ask(agent) for agent in range(120, 124)))
    answer = await client.http.post("/v1/completions", json={"prompt": prompt, "max_tokens": 2})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    assert {other.status_code for other in await others} == {200}


async def test_null_is_absent_and_a_user_may_be_anybody(client: StackClient) -> None:
    nulls = ("frequency_penalty", "n", "stream", "logprobs", "parallel_tool_calls", "temperature")
    asked = [
        client.ask(125, stop="", user=user, **dict.fromkeys(nulls))
        for user in ("", "x" * 300, "a\nb", "👩\u200d🚀", None)
    ]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["usage"]["completion_tokens"] for answer in answers} == {4}


async def test_ten_megabytes_are_refused(client: StackClient) -> None:
    answer = await client.http.post("/v1/chat/completions", content=b"x" * 10_000_000)
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "body")


async def test_what_is_just_below_the_bound_reaches_an_engine(client: StackClient) -> None:
    answer = await client.ask(105, messages=[{"role": "user", "content": "x" * 7_000_000}])
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b'{"epoch": NaN}'])
async def test_broken_json_is_refused(client: StackClient, body: bytes) -> None:
    answer = await client.http.post("/v1/simulations/default/distances", content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body")


async def test_an_absurd_epoch_is_undone_by_ending_the_simulation(client: StackClient) -> None:
    where = "/v1/simulations/absurd"
    body = {"epoch": 2**53, "ids": [1, "2"], "distances": [1.0, 2.0]}
    assert (await client.http.post(f"{where}/distances", json=body)).status_code == 200
    body["epoch"] = 1
    assert (await client.http.post(f"{where}/distances", json=body)).status_code == 409
    assert (await client.http.delete(where)).json() == {}
    assert (await client.http.post(f"{where}/distances", json=body)).json()["accepted"] == 2
    body["epoch"] = 2**40
    leap = await client.http.post(f"{where}/distances", json=body)
    assert (leap.status_code, leap.json()["error"]["param"]) == (400, "epoch")


@pytest.mark.parametrize("bytes_of_nothing", ["%ff", "%fe"])
async def test_what_is_not_utf8_names_nobody(client: StackClient, bytes_of_nothing: str) -> None:
    headers = {"X-Agent-Id": bytes_of_nothing}
    answer = await client.http.post("/v1/completions", json={"prompt": "w1"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Agent-Id")
    answer = await client.http.get(f"/v1/simulations/default/agents/{bytes_of_nothing}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "agent")


async def test_a_million_ids_are_read_while_others_are_answered(client: StackClient) -> None:
    ids = list(range(200_000))
    body = {"epoch": 1, "ids": ids, "distances": [0] * len(ids)}
    telling = asyncio.create_task(client.http.post("/v1/simulations/many/distances", json=body))
    answered = 0
    while not telling.done():
        assert (await client.http.get("/health")).status_code == 200
        answered += 1
    assert (await telling).json()["accepted"] == len(ids)
    assert answered > 3
    await client.http.delete("/v1/simulations/many")


async def test_distances_are_taken_in_json_and_msgpack(client: StackClient) -> None:
    where = "/v1/simulations/sim-1/distances"
    body = {"epoch": 1, "ids": ["a", "b"], "distances": [1.0, 2.0]}
    assert (await client.http.post(where, json=body)).json() == {
        "epoch": 1,
        "accepted": 2,
        "ignored": 0,
    }
    hostile = {"epoch": 2, "ids": ["a", "b", "c"], "distances": [float("nan"), -1.0, 3.0]}
    packed = await client.http.post(
        where,
        content=msgspec.msgpack.encode(hostile),
        headers={"Content-Type": "application/msgpack"},
    )
    assert packed.json() == {"epoch": 2, "accepted": 1, "ignored": 2}
    stale = await client.http.post(where, json=body)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale_epoch")
    crooked = await client.http.post(where, json={**body, "epoch": 3, "distances": [1.0]})
    assert (crooked.status_code, crooked.json()["error"]["param"]) == (400, "distances")


async def test_agents_spread_over_replicas_and_stay(client: StackClient) -> None:
    homes = {}
    for _ in range(2):
        answers = await asyncio.gather(*(client.ask(agent) for agent in range(12)))
        for agent, answer in enumerate(answers):
            homes.setdefault(agent, set()).add(answer.headers["x-scalesim-replica"])
    assert all(len(seen) == 1 for seen in homes.values())
    assert len(set.union(*homes.values())) == 2


async def test_fifty_requests_at_once_are_all_answered(client: StackClient) -> None:
    answers = await asyncio.gather(*(client.ask(agent) for agent in range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert all(text_of(answer) for answer in answers)


async def test_a_reported_agent_is_fetched_before_it_asks(client: StackClient) -> None:
    everyone = range(20)
    for _ in range(2):
        for agent in everyone:
            await client.ask(agent)
    cold = await first_on_host(client, everyone)
    distances = dict.fromkeys(everyone, 9.0) | {cold: 0.0}
    assert (await client.report(10, distances)).status_code == 200

    async def fetched() -> bool:
        return bool((await client.agent(cold))["residency"] == "device")

    await client.until(fetched)
    answer = await client.ask(cold)
    assert answer.headers["x-scalesim-residency"] == "device"


async def first_on_host(client: StackClient, agents: range) -> int:
    for agent in agents:
        if (await client.agent(agent))["residency"] == "host":
            return agent
    raise AssertionError("the device holds everyone: the test needs more agents")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_frees_its_replica(client: StackClient, stream: bool) -> None:
    leaving = asyncio.ensure_future(client.ask(106, tokens=700, stream=stream))
    staying = asyncio.ensure_future(client.ask(106, tokens=600))
    await client.until(lambda: running(client, 2))
    leaving.cancel()
    # Had it gone on, the shorter one would have ended before it.
    await client.until(lambda: running(client, 1))
    assert not staying.done()
    assert (await staying).status_code == 200
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def running(client: StackClient, requests: int) -> bool:
    """Return whether that many requests are in the replicas."""
    name = "scalesim_replica_requests_running{"
    texts = [answer.text for answer in (await client.scrapes()).values()]
    lines = [line for text in texts for line in text.splitlines() if line.startswith(name)]
    return sum(float(line.split()[-1]) for line in lines) == requests


@without_a_gpu
async def test_engines_leave_the_processors_to_the_rest(client: StackClient) -> None:
    found = parts.all_of(client.stack)
    niceness = {part: {one.nice() for one in processes} for part, processes in found.items()}
    engines = niceness.pop("scheduler")
    (others,) = set().union(*niceness.values())
    assert engines == {min(max(others + cpu.BELOW_OTHERS, cpu.NICENESS), 19)}


@without_a_gpu
async def test_a_device_that_is_not_there_is_refused(client: StackClient) -> None:
    engine = EngineSettings(model_path="none", device="cuda")
    with pytest.raises(ConfigurationError, match="sees no GPU"):
        Stack(StackSettings(engine=engine)).start()
    assert (await client.ask(9)).status_code == 200


async def test_stopping_waits_for_requests_in_flight(
    client: StackClient, only_stack: OnlyStack
) -> None:
    # On a connection each, which either process of the ingress may take.
    short = [[{"role": "user", "content": f"w{word}"}] for word in range(4)]
    asked = asyncio.gather(
        *(client.ask(107 + n, 300, messages=text) for n, text in enumerate(short))
    )

    async def busy() -> bool:
        return bool((await client.status())["agents"]["in_use"] == len(short))

    await client.until(busy)
    async with client.http.stream("GET", "/v1/trace") as feed:
        lines = feed.aiter_lines()
        assert await anext(lines) == ""
        await asyncio.to_thread(only_stack.stop)
        assert {answer.status_code for answer in await asked} == {200}
        # It ended, as the stack did; a request answered before that is in it.
        recorded = [json.loads(line)["agent"] async for line in lines]
        assert set(recorded) <= {f"agent-{107 + n}" for n in range(len(short))}

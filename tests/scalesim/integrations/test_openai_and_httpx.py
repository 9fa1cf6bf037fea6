"""Libraries' calls carry the identity of the context they are made in."""

from collections.abc import Iterator

import httpx
import openai
import pytest

from scalesim import agent, httpx_auth, instrument_openai
from tests.support.fake_stack import FakeStack

PROMPT = {"model": "m", "messages": [{"role": "user", "content": "w1"}]}


@pytest.fixture
def stack() -> Iterator[FakeStack]:
    instrument_openai()()  # whatever ran before, the hook is out
    with FakeStack() as fake:
        yield fake
    instrument_openai()()


def client(stack: FakeStack) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack.base_url}/v1", api_key="k", max_retries=0)


def callers(stack: FakeStack) -> list[str | None]:
    return [name for name, _ in stack.calls]


def test_one_line_around_openai_calls_is_enough(stack: FakeStack) -> None:
    with client(stack) as api:
        with agent("villager-7", "town"):
            api.chat.completions.create(**PROMPT)
        api.chat.completions.create(**PROMPT)
    assert callers(stack) == ["villager-7", None]
    assert stack.headers[0]["X-Simulation-Id"] == "town"


def test_a_name_that_a_person_typed_breaks_no_call(stack: FakeStack) -> None:
    with client(stack) as api, agent(" Bob "):
        api.chat.completions.create(**PROMPT)
    assert callers(stack) == ["%20Bob%20"]


async def test_async_openai_calls_too(stack: FakeStack) -> None:
    api = openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key="k", max_retries=0)
    async with api, agent("villager-8"):
        await api.chat.completions.create(**PROMPT)
    assert callers(stack) == ["villager-8"]


def test_headers_the_caller_sets_win(stack: FakeStack) -> None:
    with client(stack) as api, agent("villager-7"):
        api.chat.completions.create(**PROMPT, extra_headers={"X-Agent-Id": "other"})
    assert callers(stack) == ["other"]


def test_the_hook_goes_in_once_and_comes_out(stack: FakeStack) -> None:
    from openai._base_client import SyncAPIClient

    before = SyncAPIClient._prepare_options
    undo = instrument_openai()
    hooked = SyncAPIClient._prepare_options
    instrument_openai()
    assert SyncAPIClient._prepare_options is hooked is not before
    undo()
    undo()
    assert SyncAPIClient._prepare_options is before


async def test_plain_httpx_sync_and_async(stack: FakeStack) -> None:
    url = f"{stack.base_url}/v1/chat/completions"
    with agent("villager-9"):
        with httpx.Client(auth=httpx_auth("key")) as api:
            api.post(url, json=PROMPT)
        async with httpx.AsyncClient(auth=httpx_auth()) as api:
            await api.post(url, json=PROMPT, headers={"X-Agent-Id": "own"})
    assert callers(stack) == ["villager-9", "own"]
    assert stack.headers[0]["Authorization"] == "Bearer key"

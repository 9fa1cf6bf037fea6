"""Who is calling, across nesting, threads and tasks."""

import asyncio
import threading

import pytest

from scalesim import agent, current_headers
from scalesim.errors import InvalidRequestError


def test_headers_of_the_innermost_context() -> None:
    assert current_headers() == {}
    with agent("a", "town"):
        with agent("b"):
            assert current_headers() == {"X-Agent-Id": "b", "X-Simulation-Id": "default"}
        assert current_headers() == {"X-Agent-Id": "a", "X-Simulation-Id": "town"}
    assert current_headers() == {}


def test_the_identity_leaves_with_an_error() -> None:
    with pytest.raises(RuntimeError), agent("a"):
        raise RuntimeError
    assert current_headers() == {}


def test_one_context_may_be_entered_again_while_it_is_open() -> None:
    villager = agent("a")
    with villager, agent("b"):
        with villager:
            assert current_headers()["X-Agent-Id"] == "a"
        assert current_headers()["X-Agent-Id"] == "b"


async def test_tasks_do_not_see_each_other() -> None:
    arrived = asyncio.Barrier(3)

    async def act(name: str) -> str:
        async with agent(name):
            await arrived.wait()
            return current_headers()["X-Agent-Id"]

    assert await asyncio.gather(*map(act, "abc")) == ["a", "b", "c"]


def test_threads_do_not_see_each_other() -> None:
    seen: list[dict[str, str]] = []
    with agent("a"):
        thread = threading.Thread(target=lambda: seen.append(current_headers()))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_an_id_that_is_not_ascii_is_percent_encoded() -> None:
    with agent("村民 7%"):
        assert current_headers()["X-Agent-Id"] == "%E6%9D%91%E6%B0%91 7%25"


@pytest.mark.parametrize("bad", ["", "a\nb", "x" * 257])
def test_an_id_that_cannot_be_one_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"is not an agent id|use at most 256 bytes"):
        agent(bad)

"""What naming its agent adds to a call: processor time of the same calls without and with it.

Run: python -m benchmarks.serving.identity_cost
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import openai
from openai._base_client import SyncAPIClient
from rich.console import Console
from rich.table import Table

import scalesim
from benchmarks.results import write
from scalesim.integrations import httpx as httpx_integration
from scalesim.integrations import mesa as mesa_integration
from scalesim.integrations.acting import act_for

CALLS = 2_000
PEOPLE = 500
URL = "http://127.0.0.1:8080/v1"
GOAL_US = 50.0


def answered(request: httpx.Request) -> httpx.Response:
    """Answer at once, without a network."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ""}}
    about = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    return httpx.Response(200, json={**about, "choices": [choice]}, request=request)


class Api(httpx.Client):
    """A client whose hook is its own."""


class AsyncApi(httpx.AsyncClient):
    """The same, asynchronous."""


class Person:
    """A framework's agent that asks nothing."""

    unique_id = 7
    name = "ann"

    def act(self) -> None:
        """Do nothing."""

    async def think(self) -> None:
        """Do nothing, as a coroutine."""


class People(list[Person]):
    """Agents as Mesa has them."""

    random = random.Random(0)

    def shuffle_do(self, method: str | Callable[[Person], None]) -> None:
        """Let all act in a shuffled order."""
        order = list(self)
        self.random.shuffle(order)
        for person in order:
            getattr(person, method)() if isinstance(method, str) else method(person)

    do = map = shuffle_do


class HookCost(NamedTuple):
    """One kind of call, and the hook that is put on it.

    Attributes:
        owner: Class whose method is hooked.
        method: Its name.
        bare: What it is without a hook.
        install: Hooks it.
        call: Calls it.
        agents: That act in one call.
    """

    owner: Any
    method: str
    bare: Any
    install: Callable[[], Any]
    call: Callable[[], Any]
    agents: int = 1

    def microseconds(self, calls: int) -> tuple[float, float]:
        """Return what a call takes for an agent, and what the hook adds; it stays as it was.

        Medians of processor times; what is added is that of two calls after each other, now one
        of them first and now the other.
        """
        setattr(self.owner, self.method, self.bare)
        self.install()
        ways = self.bare, getattr(self.owner, self.method)
        assert ways[0] is not ways[1], f"{self.method} is not hooked"
        times: tuple[list[int], list[int]] = ([], [])
        for number in range(2 * calls):
            which = (number + number // 2) % 2
            setattr(self.owner, self.method, ways[which])
            begun = time.thread_time_ns()
            self.call()
            times[which].append(time.thread_time_ns() - begun)
        setattr(self.owner, self.method, self.bare)
        adds = [having - without for without, having in zip(*times, strict=True)]
        without, more = statistics.median(times[0]), statistics.median(adds)
        return without / 1e3 / self.agents, more / 1e3 / self.agents


def instrument_anew() -> None:
    """Hook the SDK whether it was hooked before or not."""
    scalesim.instrument_openai()()
    scalesim.instrument_openai()


def hooks() -> dict[str, HookCost]:
    """Return what is timed, by name."""
    scalesim.instrument_openai()()
    api = Api(transport=httpx.MockTransport(answered))
    sdk = openai.OpenAI(base_url=URL, api_key="-", http_client=api, max_retries=0)
    modules = SimpleNamespace(Client=Api, AsyncClient=AsyncApi, AgentSet=People)
    person, people = Person(), People(Person() for _ in range(PEOPLE))

    def of(method: str, call: Callable[[], Any]) -> HookCost:
        bare = getattr(Person, method)
        return HookCost(
            Person, method, bare, lambda: act_for(Person, method, lambda one: one.name), call
        )

    def think() -> None:
        with suppress(StopIteration):
            person.think().send(None)

    return {
        "OpenAI SDK, `scalesim.agent`": HookCost(
            SyncAPIClient,
            "_prepare_options",
            SyncAPIClient._prepare_options,
            instrument_anew,
            lambda: sdk.chat.completions.create(model="m", messages=[]),
        ),
        "httpx, `scalesim run`": HookCost(
            Api,
            "send",
            Api.send,
            lambda: httpx_integration.install(modules),  # type: ignore[arg-type]
            lambda: api.post(f"{URL}/chat/completions", json={}),
        ),
        "a framework's agent acts": of("act", lambda: person.act()),
        "the same, a coroutine": of("think", think),
        f"one of {PEOPLE} in a step of Mesa": HookCost(
            People,
            "shuffle_do",
            People.shuffle_do,
            lambda: mesa_integration.install(modules),  # type: ignore[arg-type]
            lambda: people.shuffle_do("act"),
            PEOPLE,
        ),
    }


def main() -> None:
    """Time the same calls in turn, with the method as it is and as it is hooked."""
    found, table = {}, Table("call", "without", "adds")
    table.title = f"µs of processor time, {CALLS} calls"
    with scalesim.agent("ann", "town"):
        for name, hook in hooks().items():
            without, adds = hook.microseconds(max(CALLS // hook.agents, 20))
            table.add_row(name, f"{without:.1f}", f"{adds:.1f}")
            found[name] = {"without_us": round(without, 3), "adds_us": round(adds, 3)}
    Console().print(table)
    write("serving/identity_cost", found, calls=CALLS, goal_us=GOAL_US)


if __name__ == "__main__":
    main()

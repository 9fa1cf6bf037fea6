"""What naming its agent adds to a call: processor time of the same calls without and with it.

Run: python -m benchmarks.serving.identity_cost
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
from rich.console import Console
from rich.table import Table

import scalesim
from benchmarks.results import write
from scalesim.integrations import httpx as httpx_integration
from scalesim.integrations.acting import act_for

CALLS = 2_000
URL = "http://127.0.0.1:8080/v1"
GOAL_US = 50.0


def answered(request: httpx.Request) -> httpx.Response:
    """Answer at once, without a network."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ""}}
    about = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    return httpx.Response(200, json={**about, "choices": [choice]}, request=request)


class Person:
    """A framework's agent that asks nothing."""

    name = "ann"

    def act(self) -> None:
        """Do nothing."""


def added_us(call: Callable[[], Any], owner: Any, name: str, ways: tuple[Any, Any]) -> list[float]:
    """Return median processor times of a call with one method and with another, in turn."""
    times: tuple[list[int], list[int]] = ([], [])
    for _ in range(CALLS):
        for way, taken in zip(ways, times, strict=True):
            setattr(owner, name, way)
            begun = time.thread_time_ns()
            call()
            taken.append(time.thread_time_ns() - begun)
    return [statistics.median(taken) / 1e3 for taken in times]


def main() -> None:
    """Time the same calls in turn, with the method as it is and as it is wrapped."""
    from openai._base_client import SyncAPIClient

    plain = httpx.Client(transport=httpx.MockTransport(answered))
    sdk = openai.OpenAI(base_url=URL, api_key="-", http_client=plain, max_retries=0)
    person = Person()
    send, prepare, act = httpx.Client.send, SyncAPIClient._prepare_options, Person.act
    httpx_integration.install(httpx)
    act_for(Person, "act", lambda self: self.name)
    scalesim.instrument_openai()
    sends, acts = (send, httpx.Client.send), (act, Person.act)
    prepares = (prepare, SyncAPIClient._prepare_options)
    httpx.Client.send = send  # type: ignore[method-assign]
    with scalesim.agent("ann", "town"):
        figures = {
            "OpenAI SDK, `scalesim.agent`": added_us(
                lambda: sdk.chat.completions.create(model="m", messages=[]),
                SyncAPIClient,
                "_prepare_options",
                prepares,
            ),
            "httpx, `scalesim run`": added_us(
                lambda: plain.post(f"{URL}/chat/completions", json={}),
                httpx.Client,
                "send",
                sends,
            ),
            "a framework's agent acts": added_us(lambda: person.act(), Person, "act", acts),
        }
    table = Table("call", "without", "with", "adds", title=f"µs of processor time, {CALLS} calls")
    for name, (without, having) in figures.items():
        table.add_row(name, f"{without:.1f}", f"{having:.1f}", f"{having - without:.1f}")
    Console().print(table)
    found = {
        name: {"without_us": without, "with_us": having, "adds_us": round(having - without, 3)}
        for name, (without, having) in figures.items()
    }
    write("serving/identity_cost", found, calls=CALLS, goal_us=GOAL_US)


if __name__ == "__main__":
    main()

"""Engines that follow the requests there are: who comes, who goes, what agents find."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks.reliability.scalesim_up import ScalesimUp
from scalesim.deployments.random_model import build
from tests.support.ray_head import until
from tests.support.stack_client import words
from tests.support.under_load import under_load

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]

AGENTS = 8
LOAD = 4
"""Requests at a time: one more than the engines there may be."""
NEWCOMERS = range(AGENTS, 4 * AGENTS)
"""Who are asked while there are three engines, and again once there is one."""
KEPT = {"device", "host", "storage"}
PATIENCE_S = 400
"""For one answer, while engines start on the same processors."""
AT_ONCE = 1
"""In an engine: with so many requests of one it is those that wait that ask for another."""
SCALING = {
    "min_replicas": 1,
    "max_replicas": 3,
    "target_ongoing_requests": 1,
    "upscale_delay_s": 1,
    "downscale_delay_s": 1,
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    engine = {
        "model_path": str(build(tmp_path / "model", size="tiny")),
        "device": "cpu",
        "device_tokens": 4096,
        "storage_dir": str(tmp_path / "state"),
        "storage_bytes": 2**28,
    }
    stack = {"engine": engine, "autoscaling": SCALING, "max_ongoing_requests": AT_ONCE}
    config = tmp_path / "stack.yaml"
    config.write_text(yaml.safe_dump(stack))
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as place,
        ScalesimUp(config, Path(place)) as up,
        httpx.Client(base_url=up.ready().url, timeout=PATIENCE_S, trust_env=False) as client,
    ):
        yield client


def ask(api: httpx.Client, agent: int) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": words(agent)}], "max_tokens": 4}
    body |= {"temperature": 0}
    return api.post("/v1/chat/completions", json=body, headers={"X-Agent-Id": f"agent-{agent}"})


def choices(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == httpx.codes.OK, answer.text
    return list(answer.json()["choices"])


def replica_of(answer: httpx.Response) -> str:
    return answer.headers["x-scalesim-replica"]


def agents_in_turn(api: httpx.Client) -> Callable[[], int]:
    """Return what asks for one agent after the other: engines that start need the processor."""
    agents = itertools.cycle(range(AGENTS))
    return lambda: ask(api, next(agents)).status_code


def replicas(api: httpx.Client) -> set[str]:
    return set(api.get("/v1/status").json()["replicas"])


def test_they_come_and_go_with_the_load_and_agents_find_their_state(api: httpx.Client) -> None:
    """None restarts, no request is lost, and what engines had that went is in storage."""
    before: dict[int, httpx.Response] = {}

    def newcomers_are_everywhere() -> bool:
        before.update({agent: ask(api, agent) for agent in NEWCOMERS})
        return {replica_of(answer) for answer in before.values()} == three

    first = replicas(api)
    assert len(first) == 1
    with under_load([agents_in_turn(api) for _ in range(LOAD)]) as answers:
        until(lambda: len(replicas(api)) == SCALING["max_replicas"])
        three = replicas(api)
        until(newcomers_are_everywhere)
    with under_load([agents_in_turn(api)], pause_s=0.5) as more:
        until(lambda: len(replicas(api)) == SCALING["min_replicas"])
    last = replicas(api)
    assert first < three
    assert last < three
    assert set(answers) | set(more) == {200}
    for agent, answer in before.items():
        found = ask(api, agent)
        assert choices(found) == choices(answer)
        stayed = replica_of(answer) in last
        assert found.headers["x-scalesim-residency"] in (KEPT if stayed else {"storage"})

"""Every panel of every dashboard over a live stack: data in each, and the right data."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.free_port import free_port
from dashboards.board import Query, scoped
from dashboards.grafana_files import BOARDS
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.headers import CACHED_TOKENS, CachedTokens
from scalesim.settings import EngineSettings, IngressSettings, MetricsSettings, StackSettings
from tests.support.only_stack import OnlyStack
from tests.support.prometheus import Prometheus, scraping
from tests.support.stack_client import KEY, StackClient

pytestmark = [pytest.mark.engine, pytest.mark.ray]

AGENTS = 24
ACTIVE = 4
STRANGERS = 3
OUTPUT_TOKENS = 4
DEADLINE_S = 120.0
NOT_HERE = "avg by (Hostname, gpu)"
"""What the exporter of NVIDIA's DCGM tells."""
QUERIES = {
    f"{board.uid} / {panel.title} / {query.legend}": query
    for board in BOARDS
    for panel in board.panels
    for query in panel.queries
    if not query.expr.startswith(NOT_HERE)
}


@pytest.fixture(scope="module")
def stack(only_stack: OnlyStack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """One of its own: what is counted is what these tests asked."""
    model = build(tmp_path_factory.mktemp("model"), size="tiny")
    engine = EngineSettings(
        model_path=str(model), dtype="float32", device_tokens=2048, context_length=512
    )
    port = free_port()
    settings = StackSettings(
        engine=engine,
        ingress=IngressSettings(port=0, api_key=KEY),
        metrics=MetricsSettings(controller_port=port, replica_port=port + 1),
    )
    return only_stack.running(settings)


@pytest.fixture(scope="module")
def prometheus(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    _wait(lambda: len(_places(stack)) == 3)
    with scraping(_places(stack), KEY, folder) as running:
        yield running


def _places(stack: Stack) -> list[str]:
    """Return where the ingress, the controller and the replica are scraped."""
    status = ray.get(stack.controller.status.remote())
    replicas = [replica["metrics"] for replica in status["replicas"].values()]
    return [stack.base_url.removeprefix("http://"), status["metrics"], *replicas]


class AgentRounds:
    """A round of agents, four a step, that reports its distances, and a few without.

    Counts what it was answered.
    """

    def __init__(self, stack: Stack) -> None:
        self.client = StackClient(stack)
        self.steps = 0
        self.calls = 0
        self.tokens: Counter[str] = Counter()

    async def step(self) -> None:
        self.steps += 1
        first = self.steps * ACTIVE % AGENTS
        distances = {agent: (agent - first) % AGENTS // ACTIVE for agent in range(AGENTS)}
        (await self.client.report(self.steps, distances)).raise_for_status()
        stranger = AGENTS + ACTIVE + self.steps % STRANGERS
        asked = (*range(first, first + ACTIVE), stranger)
        calls = (self.client.ask(agent, stream=agent == stranger) for agent in asked)
        for answer in await asyncio.gather(*calls):
            found = CachedTokens.parse(answer.headers[CACHED_TOKENS])
            self.calls += 1
            self.tokens.update(device=found.device, host=found.host, storage=found.storage)
            self.tokens["miss"] += found.prompt - found.device - found.host - found.storage

    async def refused(self) -> None:
        answer = await self.client.http.get("/v1/models", headers={"Authorization": "Bearer no"})
        assert answer.status_code == 401


@pytest.fixture(scope="module")
def load(stack: Stack, prometheus: Prometheus) -> AgentRounds:
    """Returns once every query of every panel has found a number, or time is up."""
    load = AgentRounds(stack)

    async def until_all_answer() -> None:
        async with load.client.http:
            await load.refused()
            deadline = time.monotonic() + DEADLINE_S
            while _empty(prometheus) and time.monotonic() < deadline:
                for _ in range(4):
                    await load.step()
                await load.refused()

    asyncio.run(until_all_answer())
    return load


def _numbers(prometheus: Prometheus, query: Query) -> list[float]:
    values = (float(each["value"][1]) for each in prometheus.query(scoped(query.expr)))
    return [value for value in values if not math.isnan(value)]


def _empty(prometheus: Prometheus) -> list[str]:
    return [name for name, query in QUERIES.items() if not _numbers(prometheus, query)]


def test_every_panel_has_data(load: AgentRounds, prometheus: Prometheus) -> None:
    assert not _empty(prometheus)


def test_counters_are_what_the_callers_saw(load: AgentRounds, prometheus: Prometheus) -> None:
    generated = OUTPUT_TOKENS * load.calls

    def settled() -> bool:  # ingress and controller are scraped at times of their own
        names = ("requests_total", "controller_reports_total", "output_tokens_total")
        found = [sum(prometheus.samples(f"scalesim_{name}").values()) for name in names]
        return found == [load.calls, load.steps, generated]

    _wait(settled)
    found = prometheus.samples("scalesim_prompt_tokens_total")
    assert {dict(labels)["found"]: count for labels, count in found.items()} == load.tokens
    assert list(prometheus.samples("scalesim_output_tokens_total").values()) == [generated]
    mine = {
        dict(labels)["tokens"]: count
        for labels, count in prometheus.samples("scalesim_simulation_tokens_total").items()
        if dict(labels)["simulation"] == "default"
    }
    spared = load.tokens["device"] + load.tokens["host"] + load.tokens["storage"]
    assert mine == {"found": spared, "computed": load.tokens["miss"], "generated": generated}
    reports = prometheus.samples("scalesim_controller_reports_total")
    assert list(reports.values()) == [load.steps]
    epochs = prometheus.samples("scalesim_simulation_epoch")
    assert list(epochs.values()) == [load.steps]


def test_every_metric_of_the_panels_is_the_products_own(
    load: AgentRounds, stack: Stack, prometheus: Prometheus
) -> None:
    names = {name for query in QUERIES.values() for name in re.findall(r"scalesim_\w+", query.expr)}
    counters = {name for name in names if name.endswith("_total")}
    assert counters

    def agree() -> bool:
        exposed = _exposed(stack)
        return all(prometheus.samples(name) == exposed[name] for name in counters)

    assert names <= set(_exposed(stack))
    _wait(agree)


def _exposed(stack: Stack) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Return what all three places tell: each series in one of them."""
    headers = {"Authorization": f"Bearer {KEY}"}
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for place in _places(stack):
        text = httpx.get(f"http://{place}/metrics", headers=headers, timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series = found.setdefault(sample.name, {})
                labels = frozenset(item for item in sample.labels.items() if item[1])
                assert labels not in series, (place, sample)
                series[labels] = sample.value
    return found


def _wait(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "never settled"
        time.sleep(0.2)

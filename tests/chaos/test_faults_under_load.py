"""Parts of a real stack die and hang under load: what is lost, and that it heals.

Each fault once; `python -m benchmarks.reliability` does all there are, over and over.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal

import httpx
import pytest

from benchmarks.reliability import parts
from benchmarks.reliability.fault_runs import FaultOutcome, FaultTrial
from benchmarks.reliability.injected_faults import named
from benchmarks.reliability.load import REQUEST_S
from scalesim.deployments.stack import Stack
from tests.support.stack_client import StackClient

pytestmark = [
    pytest.mark.engine,
    pytest.mark.ray,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),  # where others take the machine, as long as an engine may take
]

HUNG_ENGINE_S = 40.0
"""Bound of 25 s, and what a busy machine adds: Serve's own checks would take 55 s."""


async def unharmed(trial: FaultTrial, name: str) -> FaultOutcome:
    """Return what a fault did once it is sure that it did no more than it may."""
    outcome = await trial.inject(named(name))
    assert outcome.broken == []
    return outcome


@pytest.mark.parametrize(
    "name",
    [
        "replica killed",
        "engine killed",
        "ingress killed",
        "ingress stopped for 5 s",
        "controller stopped for 5 s",
        "catalog killed",
        "catalog stopped for 5 s",
    ],
)
async def test_what_a_fault_may_lose_and_that_all_is_as_before(
    trial: FaultTrial, name: str
) -> None:
    await unharmed(trial, name)


async def test_while_one_process_of_the_ingress_is_away_the_other_takes_all_connections(
    client: StackClient, stack: Stack
) -> None:
    before = {each.pid for each in parts.of(stack, "ingress")}
    killed = parts.of(stack, "ingress")[0]
    killed.kill()
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=client.http.headers, timeout=REQUEST_S
    ) as later:
        answers = await asyncio.gather(*(later.get("/v1/models") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        text = (await later.get("/metrics")).text

    async def replaced() -> bool:
        now = {each.pid for each in parts.of(stack, "ingress")}
        return killed.pid not in now and len(now) == len(before)

    await client.until(replaced)

    async def counted() -> bool:
        answer = await client.http.get("/metrics")
        return len(set(re.findall(r'ingress="(\w+)"', answer.text))) == len(before)

    await client.until(counted)
    assert text.count("# TYPE scalesim_requests_total") == 1


async def test_a_stopped_engine_is_replaced_within_its_bound(trial: FaultTrial) -> None:
    outcome = await unharmed(trial, "engine stopped for good")
    assert outcome.served_s < HUNG_ENGINE_S


async def test_a_controller_that_dies_knows_every_agent_again(
    trial: FaultTrial, client: StackClient
) -> None:
    assert (await client.ask(5)).status_code == 200
    before = await client.status()
    await unharmed(trial, "controller killed")
    assert (await client.status())["incarnation"] > before["incarnation"]

    async def known() -> bool:
        answer = await client.http.get("/v1/simulations/default/agents/agent-5")
        return answer.status_code == 200 and answer.json()["total_bytes"] > 0

    await client.until(known)
    assert "scalesim_agents" in (await client.scrapes())["controller"].text


async def test_the_status_tells_of_a_lost_catalog(client: StackClient) -> None:
    catalog = client.stack.catalog
    assert catalog is not None
    pid = catalog.pid
    os.kill(pid, signal.SIGSTOP)
    assert (await client.report(11, {9: 1.0})).status_code == 200

    async def noticed() -> bool:
        return (await client.status())["catalog"]["ok"] is False

    async def healed() -> bool:
        return (await client.status())["catalog"]["ok"] and catalog.pid not in (0, pid)

    await client.until(noticed)
    os.kill(pid, signal.SIGKILL)
    assert (await client.ask(9)).status_code == 200
    await client.until(healed)

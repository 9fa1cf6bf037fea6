"""What an engine takes for a token of prompt, a token of answer, a prefix and an adapter."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any, NamedTuple

from benchmarks.engine.driven_engine import DrivenEngine
from benchmarks.gpu.prompts import Prompts
from scalesim.vocabulary import ADAPTER, PREFIX, Tier, Verb

REPEATS = 3


class Prices(NamedTuple):
    """Medians of some repeats; what is first built at run time is not in them.

    Attributes:
        prefill_token_s: For a token of prompt, prompts of all agents computed at once.
        output_token_s: For one token of every answer in a full batch.
        batch: Answers in that batch.
        context_tokens: Of each of them.
        prefix_bytes_per_s: Of prefixes fetched ahead from host memory, as many as fit together.
        adapter_s: For one adapter from host memory into its slot; None where there are none.
    """

    prefill_token_s: float
    output_token_s: float
    batch: int
    context_tokens: int
    prefix_bytes_per_s: float
    adapter_s: float | None


async def prices(steered: DrivenEngine, prompts: Prompts, batch: int) -> Prices:
    """Measure an engine that nothing else uses.

    Adapters of these agents must be theirs alone: one that others had as well stays in its slot.
    """
    agents = range(min(batch, prompts.agents))
    prompt_tokens, output_tokens = len(prompts.ids(0, 0)), prompts.output
    await _ask(steered, prompts, agents, 1)
    await _ask(steered, prompts, agents, output_tokens)
    prefills, decodes = [], []
    for _ in range(REPEATS):
        await steered.flush()
        first_s = await _ask(steered, prompts, agents, 1)
        warm_s = await _ask(steered, prompts, agents, 1)
        long_s = await _ask(steered, prompts, agents, output_tokens)
        prefills.append(first_s / (len(agents) * prompt_tokens))
        decodes.append(max(long_s - warm_s, 1e-9) / (output_tokens - 1))
    return Prices(
        median(prefills),
        median(decodes),
        len(agents),
        prompt_tokens + output_tokens // 2,
        median([await _prefix_rate(steered, agents) for _ in range(REPEATS)]),
        await _adapter_s(steered, agents) if prompts.more(0) else None,
    )


async def _ask(steered: DrivenEngine, prompts: Prompts, agents: range, output_tokens: int) -> float:
    begin = time.perf_counter()
    asked: list[Any] = [
        steered.ask(prompts.ids(agent, 0), output_tokens, agent, **prompts.more(agent))
        for agent in agents
    ]
    await asyncio.gather(*asked)
    return time.perf_counter() - begin


async def _prefix_rate(steered: DrivenEngine, agents: range) -> float:
    """Send prefixes to host memory and time their way back, until the last copy has ended."""
    holds = steered.holds[PREFIX]
    await steered.until(lambda: any(holds[agent].device for agent in agents))
    moved = [agent for agent in agents if holds[agent].device]
    await _demote(steered, moved, PREFIX)
    missing = sum(holds[agent].total - holds[agent].device for agent in moved)
    await steered.push(dict.fromkeys(moved, 0.0))
    return missing / await _load_s(steered, moved, PREFIX, missing)


async def _adapter_s(steered: DrivenEngine, agents: range) -> float:
    """Empty the slots and time one adapter after the other into them."""
    holds = steered.holds[ADAPTER]
    held = [agent for agent in agents if holds[agent].device]
    await _demote(steered, held, ADAPTER)
    seconds = []
    for agent in held:
        await steered.push({agent: 0.0}, ADAPTER)
        seconds.append(await _load_s(steered, [agent], ADAPTER, holds[agent].total))
    return median(seconds)


async def _demote(steered: DrivenEngine, agents: list[int], kind: str) -> None:
    """Send state to host memory; what was still in use is refused, and ordered again."""
    holds = steered.holds[kind]

    def is_left() -> bool:
        return not any(holds[agent].device for agent in agents)

    while not is_left():
        refused = steered.transfers[kind].refused
        await steered.move(Verb.DEMOTE, agents, Tier.HOST, kind)
        await steered.until(
            lambda refused=refused: is_left() or steered.transfers[kind].refused > refused  # type: ignore[misc]
        )


async def _load_s(steered: DrivenEngine, agents: list[int], kind: str, size: int) -> float:
    """Order state to the device; return the seconds until so many bytes of it have arrived."""
    arrived = steered.transfers[kind].loaded_bytes + size
    begin = time.perf_counter()
    await steered.move(Verb.PREFETCH, agents, Tier.DEVICE, kind)
    await steered.until(lambda: steered.transfers[kind].loaded_bytes >= arrived)
    return time.perf_counter() - begin

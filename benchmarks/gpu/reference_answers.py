"""What prompts answer when nothing is moved, how much that rounds, and that the check can fail."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import NamedTuple

from benchmarks.gpu.answer_check import ASKED, Reference, Verdict, reference
from benchmarks.gpu.engine_caller import Reply, ask, flush
from benchmarks.gpu.prompts import Prompts
from scalesim.deployments.engine.engine_host import EngineHost


class ReferenceAnswers(NamedTuple):
    """Answers of an engine without our plugin.

    Attributes:
        answers: By (agent, view), each asked alone and of an empty cache.
        rounding: Logprobs that differ by no more are the same: thrice what batches and cached
            prefixes alone made of it here.
        wrong_page: Median logprob by which answers are off when one page of the prompt is
            another's; far above `rounding`, or the check could not fail.
        wrong_pages_seen: Share of such answers that are judged wrong.
    """

    answers: dict[tuple[int, int], Reference]
    rounding: float
    wrong_page: float
    wrong_pages_seen: float


async def measure_reference(host: EngineHost, prompts: Prompts) -> ReferenceAnswers:
    """Ask everything of a stock engine."""
    manager = host.engine.tokenizer_manager

    async def answer(agent: int, ids: list[int]) -> Reply:
        return await ask(manager, ids, prompts.output, **ASKED, **prompts.more(agent))

    answers = {}
    for agent, view in prompts.all():
        await flush(manager)
        answers[agent, view] = reference(await answer(agent, prompts.ids(agent, view)))
    again = await asyncio.gather(*(answer(who, prompts.ids(who, view)) for who, view in answers))
    drifts = [known.drift(reply) for known, reply in zip(answers.values(), again, strict=True)]
    rounding = 3 * max(drifts) + 1e-5
    wrong, seen = [], 0
    for agent in range(prompts.agents):
        reply = await answer(agent, prompts.with_wrong_page(agent))
        wrong.append(answers[agent, 0].drift(reply))
        seen += answers[agent, 0].judge(reply, rounding) is Verdict.WRONG
    return ReferenceAnswers(answers, rounding, median(wrong), seen / prompts.agents)

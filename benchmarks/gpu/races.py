"""State moved while requests arrive: thousands of random interleavings, every output compared.

What every prompt answers is first asked of stock SGLang, one at a time. Then an engine with our
plugin answers the same prompts while state is moved under them. A wrong token fails the part.

Run: python -m benchmarks.gpu.races [--small]
"""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.gpu.asking import ask, flush
from benchmarks.gpu.book import Book
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.interleaving import Interleaving
from benchmarks.gpu.judging import REFERENCE_ARGS, TIE, Reference, Verdict, reference
from benchmarks.gpu.options import Options, main
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.steered import Steered
from deployments.engine.host import EngineHost
from simulations.workload import PromptSize


class Race(NamedTuple):
    """One kind of race.

    Attributes:
        setup: Of both engines.
        turns: Interleavings.
        views: Prompts of each agent, which share its private part.
    """

    setup: Setup
    turns: int
    views: int = 2


# The copy of a prefix of `wide` takes longer than a forward pass: requests overtake it.
_WIDE = Setup("wide", 24, PromptSize(1024, 16, 8), 0.3, dtype="float32", concurrency=8)
_TINY = Setup("tiny", 8, PromptSize(256, 16, 6), 0.4, dtype="float32", concurrency=4)
FULL = {
    "prefixes": Race(_WIDE, 4000),
    "adapters": Race(_WIDE._replace(adapters=12, distinct=True), 2000),
}
SMALL = {
    "prefixes": Race(_TINY, 150),
    "adapters": Race(_TINY._replace(adapters=4, distinct=True), 60),
}


async def run(options: Options) -> bool:
    """Run the races wanted; return whether every output was right and the check could fail."""
    book = Book("races", options.out, options.minutes, tie_logprob=TIE)
    held = True
    for name, race in (SMALL if options.small else FULL).items():
        if options.wants(name) and book.room(name, 60.0):
            found = await _race(race, options, book)
            held &= found["wrong"] == 0 and found["can_fail"]
            book.add(name, found)
            print({key: value for key, value in found.items() if key != "setup"})
    return held


async def _race(race: Race, options: Options, book: Book) -> dict[str, Any]:
    setup = race.setup
    prompts = Prompts(setup, race.views)
    async with engine(setup, "stock", options.scratch) as host:
        references = await ask_in_peace(host, prompts)
        canaries = await wrong_pages(host, prompts, references)
    async with engine(setup, "scalesim", options.scratch) as host:
        steered = Steered(host)
        try:
            outcome = await Interleaving(steered, prompts, references).run(
                race.turns, lambda: book.room("further turns", 15.0)
            )
        finally:
            await steered.stop()
    return {
        "setup": setup._asdict(),
        **outcome,
        "undecided": sum(min(r.gap) < TIE for r in references.values()) / len(references),
        "wrong_page_seen": canaries,
        "can_fail": canaries > 0.5 and _distinct(references),
    }


async def ask_in_peace(host: EngineHost, prompts: Prompts) -> dict[tuple[int, int], Reference]:
    """Return the answer to each prompt by (agent, view), asked alone and of an empty cache."""
    manager = host.engine.tokenizer_manager
    answers = {}
    for agent, view in prompts.all():
        await flush(manager)
        more = {**REFERENCE_ARGS, **prompts.more(agent)}
        reply = await ask(manager, prompts.ids(agent, view), prompts.output, **more)
        answers[agent, view] = reference(reply.tokens, reply.meta)
    return answers


async def wrong_pages(
    host: EngineHost, prompts: Prompts, references: dict[tuple[int, int], Reference]
) -> float:
    """Return how often an answer shows that a single page of its prompt was another's."""
    seen = 0
    for agent in range(prompts.agents):
        ids = prompts.with_wrong_page(agent)
        reply = await ask(host.engine.tokenizer_manager, ids, prompts.output, **prompts.more(agent))
        seen += references[agent, 0].judge(reply.tokens) is Verdict.WRONG
    return seen / prompts.agents


def _distinct(references: dict[tuple[int, int], Reference]) -> bool:
    """Return whether no two prompts have the same answer."""
    return len({tuple(answer.tokens) for answer in references.values()}) == len(references)


if __name__ == "__main__":
    main(run)

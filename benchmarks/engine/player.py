"""Turns played on a scheduler pass by pass, over a device that takes time."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.asker import Asker
from benchmarks.engine.integrity import check_integrity, guard_slots, is_settled
from benchmarks.engine.rigs import DrawnTimes, Rig
from benchmarks.gpu.answer_check import Verdict, reference
from benchmarks.gpu.answer_tally import AnswerTally
from benchmarks.gpu.engine_caller import Reply, cached
from benchmarks.gpu.prompts import Prompts
from benchmarks.gpu.reference_answers import ReferenceAnswers
from benchmarks.gpu.turns import AskTurn, Flush, Move, Pause, Push, TakeBack, Turn, TurnPart
from scalesim.deployments.engine.emulation.inline import InlineEngine, Script
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.vocabulary import ADAPTER, MODEL, PREFIX

HANGS_AFTER = 4000
"""Passes in which nothing is answered: 4 s of the device's clock, copies take 0.04."""

_STORAGE_TIMEOUT_S = 0.05
"""How long a request waits for what storage has of its prompt: some reads take longer."""

_ROUNDING = 1e-3
"""Logprobs of float32 that differ by less are the same; one wrong page makes 0.04 at the median."""


class HangError(AssertionError):
    """A request is never answered, or a copy never ends."""


class Player:
    """One engine whose prompts' answers are known.

    Args:
        engine: It has served nothing yet.
        times: Of its device.
        rig: What it is.
    """

    def __init__(self, engine: InlineEngine, times: DrawnTimes, rig: Rig) -> None:
        self._engine = engine
        self._times = times
        self._asker = Asker(engine, rig)
        self._prompts = self._asker.prompts
        self._kinds = [PREFIX]
        if rig.setup.adapters:
            self._kinds.append(ADAPTER)
            guard_slots(engine.slots)
        if rig.models:
            self._kinds.append(MODEL)
        self.reference = ReferenceAnswers({}, _ROUNDING, 0.0, 0.0)
        if rig.stored:
            engine.scheduler.tree_cache.prefetch_timeout_base = _STORAGE_TIMEOUT_S
        engine.run(self._prepare())
        stored = engine.settings.storage_dir
        self._pages = Path(stored) if stored is not None else None
        if self._pages is not None:
            shutil.copytree(self._pages, self._kept(self._pages))

    @property
    def prompts(self) -> Prompts:
        """What agents ask."""
        return self._prompts

    def play(self, turns: Sequence[Turn], seed: int) -> dict[str, Any]:
        """Play turns to their end, check everything, and return what was found.

        Args:
            turns: In order.
            seed: Of the device's times.

        Raises:
            AssertionError: Something is not as it must be at the end, or never ends.
            Exception: Whatever ended the scheduler.
        """
        if self._pages is not None:  # as they were, whatever another play did
            shutil.rmtree(self._pages)
            shutil.copytree(self._kept(self._pages), self._pages)
        self._times.reseed(seed)
        playing = _PlayedTurns(self._engine, self._asker, self._kinds, AnswerTally(self.reference))
        self._engine.run(playing.script(turns))
        check_integrity(self._engine.scheduler)
        return playing.figures()

    @staticmethod
    def _kept(pages: Path) -> Path:
        return pages.with_name(f"{pages.name}-kept")

    def _prepare(self) -> Script:
        """Ask everything on an empty cache, one by one, then once more of agents that are known."""
        adapters = self._engine.settings.adapters
        if adapters is not None:
            yield from self._engine.load_adapters(Path(adapters.roots[0]), adapters.loaded)
        for agent, view in self._prompts.all():
            yield from self._engine.flush()
            reply = yield from self._answer(agent, self._prompts.ids(agent, view))
            self.reference.answers[agent, view] = reference(reply)
        drifts, seen = [], 0
        for agent in range(self._prompts.agents):
            reply = yield from self._answer(agent, self._prompts.with_wrong_page(agent))
            expected = self.reference.answers[agent, 0]
            drifts.append(expected.drift(reply))
            seen += expected.judge(reply, _ROUNDING) is Verdict.WRONG
        self.reference = self.reference._replace(
            wrong_page=sorted(drifts)[len(drifts) // 2], wrong_pages_seen=seen / len(drifts)
        )
        yield from self._engine.flush()
        for agent, view in self._prompts.all():
            yield from self._answer(agent, self._prompts.ids(agent, view), known=True)
        yield from settled(self._engine)

    def _answer(self, agent: int, ids: list[int], *, known: bool = False) -> Any:
        asked = self._asker.ask(agent, ids, known=known)
        yield from until(lambda: asked.done, "a request alone")
        return _reply(asked)


class _PlayedTurns:
    """One play.

    Args:
        engine: Where.
        asker: Sends what agents ask.
        kinds: Of payloads to move.
        tally: Judges.
    """

    def __init__(
        self, engine: InlineEngine, asker: Asker, kinds: Sequence[str], tally: AnswerTally
    ) -> None:
        self._engine = engine
        self._asker = asker
        self._kinds = kinds
        self._tally = tally
        self._running: list[tuple[str, AskTurn, EmulatedRequest]] = []
        self._made: Counter[str] = Counter()
        self._last = 0

    def figures(self) -> dict[str, Any]:
        """Return what was found."""
        passes = self._engine.passes
        return {"turns": dict(self._made), "passes": passes, **self._tally.figures()}

    def script(self, turns: Sequence[Turn]) -> Script:
        """Play turns."""
        for turn in turns:
            for step in turn.steps:
                yield from self._step(turn.name, step)
            yield from self._calm(turn.calm)
            self._made[turn.name] += 1
        yield from self._calm(0)
        yield from settled(self._engine)

    def _step(self, turn: str, step: TurnPart) -> Script:
        engine = self._engine
        match step:
            case AskTurn(agent, view, known):
                ids = self._asker.prompts.ids(agent, view)
                asked = self._asker.ask(agent, ids, known=known)
                self._running.append((turn, step, asked))
            case Move(verb, agents, tier):
                for kind in self._kinds:
                    engine.move(verb, agents, tier, kind)
            case Push(distances):
                for kind in self._kinds:
                    engine.push(dict(distances), kind)
            case Pause(passes):
                for _ in range(passes):
                    yield
            case TakeBack(requests):
                for _, _, asked in self._running[-requests:]:
                    engine.abort(asked)
            case Flush():
                yield from self._calm(0)
                yield from engine.flush()

    def _calm(self, most: int) -> Script:
        self._last = self._engine.passes
        while len(self._running) > most:
            done = [each for each in self._running if each[2].done]
            for turn, ask, asked in done:
                reply = _reply(asked)
                if reply.taken_back:
                    self._tally.taken_back += 1
                else:
                    self._tally.judge(turn, ask.agent, ask.view, reply)
            if done:
                self._running = [each for each in self._running if not each[2].done]
                self._last = self._engine.passes
                continue
            if self._engine.passes - self._last > HANGS_AFTER:
                waiting = [asked.rid for _, _, asked in self._running]
                raise HangError(f"requests {waiting} are not answered")
            yield


def until(holds: Callable[[], bool], what: str) -> Script:
    """Make passes until something holds.

    Raises:
        HangError: It never does.
    """
    for _ in range(HANGS_AFTER):
        if holds():
            return
        yield
    raise HangError(f"this never ends: {what}")


def settled(engine: InlineEngine) -> Script:
    """Make passes until nothing is on its way any more."""
    yield
    yield from until(lambda: is_settled(engine.scheduler), "copies under way")
    for _ in range(3):
        yield


def _reply(asked: EmulatedRequest) -> Reply:
    assert asked.meta is not None
    assert asked.tokens is not None
    return Reply(asked.tokens, cached(asked.meta), asked.meta)

"""What scheduled agents say: words of one token each, or sentences that people can read."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scalesim.deployments.random_model import WORDS

_WORDS_PER_TOKEN = 0.6
"""Words of English per token, so that a prompt has no more tokens than it may in any common
vocabulary."""


class Wording(Protocol):
    """Writes prompts; the same for the same seed and place."""

    def private(self, seed: int, agent: str, row: int, tokens: int) -> str:
        """Return an agent's persona and memory."""
        ...

    def observation(self, seed: int, row: int, step: int, call: int, tokens: int) -> str:
        """Return what an agent sees at one call."""
        ...


@dataclass(frozen=True)
class TokenWords:
    """Random words, exactly as many as tokens: for the models that `random_model` builds."""

    def private(self, seed: int, agent: str, row: int, tokens: int) -> str:
        """See `Wording.private`."""
        return _drawn(tokens, seed, row)

    def observation(self, seed: int, row: int, step: int, call: int, tokens: int) -> str:
        """See `Wording.observation`."""
        return _drawn(tokens, seed, row, step, call)


TOKEN_WORDS = TokenWords()


@dataclass(frozen=True)
class VillageTalk:
    """English for models of words: about as many tokens as wanted, seldom more."""

    def private(self, seed: int, agent: str, row: int, tokens: int) -> str:
        """See `Wording.private`."""
        draw = random.Random(f"{seed}/{row}")
        sentences = [
            f"You are {agent}, the {draw.choice(_TRADES)} of a small village, "
            f"{draw.choice(_TRAITS)}. You speak in one short sentence. You remember:"
        ]
        words, day = len(sentences[0].split()), 0
        while words < _WORDS_PER_TOKEN * tokens:
            day += draw.randint(1, 3)
            with_whom, what = draw.choice(_TRADES), draw.choice(_DEEDS)
            sentences.append(f"On day {day} you and the {with_whom} {what}.")
            words += len(sentences[-1].split())
        return " ".join(sentences)

    def observation(self, seed: int, row: int, step: int, call: int, tokens: int) -> str:
        """See `Wording.observation`."""
        draw = random.Random(f"{seed}/{row}/{step}/{call}")
        return f"You meet the {draw.choice(_TRADES)}, {draw.choice(_NEWS)}. What do you say?"


_TRADES = ("baker", "smith", "teacher", "miller", "doctor", "carpenter", "gardener", "postman")
_TRAITS = ("cheerful and curious", "quiet and careful", "proud and quick", "kind but tired")
_DEEDS = (
    "repaired the old bridge",
    "talked about the harvest",
    "planned the summer feast",
    "argued about the price of bread",
    "walked to the lake",
    "heard music on the square",
)
_NEWS = (
    "who looks tired today",
    "who asks about the feast",
    "who has lost a key",
    "who brings fresh bread",
    "who is on the way to the lake",
)


def _drawn(count: int, *path: int) -> str:
    draws = np.random.default_rng(path).integers(0, WORDS, count)
    return " ".join(f"w{word}" for word in draws.tolist())

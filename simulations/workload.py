"""A workload: agents, what they say, and when. The same in every arm, by the seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalesim.deployments.random_model import WORDS
from scalesim.simulations.schedule import Schedule

VOCABULARY = WORDS
"""Words `w0` to `w1020` are one token each in the model that the arms serve."""


class PromptSize(NamedTuple):
    """Tokens of one call.

    Attributes:
        private: Persona and memory, the agent's own prefix.
        observation: What is new in this call.
        output: Generated, exactly.
    """

    private: int = 768
    observation: int = 24
    output: int = 8

    @property
    def total(self) -> int:
        """Tokens an agent holds after a call."""
        return sum(self)


@dataclass(frozen=True)
class Workload:
    """Everything an arm runs.

    Attributes:
        name: Of the simulation, e.g. `society`.
        agents: Agent ids; their index is the agent's row.
        schedule: Who calls when; may know more steps than are run.
        steps: Steps to run after the warm-up.
        size: Tokens of one call.
        seed: Of prompts and plans.
        hours: Simulated hours at the end of each step; empty where there is no such clock.
    """

    name: str
    agents: tuple[str, ...]
    schedule: Schedule
    steps: int
    size: PromptSize
    seed: int
    hours: tuple[float, ...] = ()

    @property
    def total_tokens(self) -> int:
        """Tokens of all agents' state together."""
        return len(self.agents) * self.size.total

    @property
    def digest(self) -> str:
        """Return a short hash of agents, activations, sizes and seed: equal digests run alike."""
        text = hashlib.sha256(repr((self.name, self.agents, self.size, self.seed)).encode())
        for step in range(self.steps + 1):
            text.update(self.schedule.calls(step).tobytes() + b";")
        return text.hexdigest()[:16]

    def private_prompt(self, row: int) -> str:
        """Return the agent's persona and memory."""
        return self._words(self.size.private, row)

    def observation(self, row: int, step: int, call: int) -> str:
        """Return what an agent sees at one call."""
        return self._words(self.size.observation, row, step, call)

    def _words(self, count: int, *path: int) -> str:
        draws = np.random.default_rng([self.seed, *path]).integers(0, VOCABULARY, count)
        return " ".join(f"w{word}" for word in draws.tolist())

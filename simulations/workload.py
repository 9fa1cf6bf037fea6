"""A workload: agents, what they say, and when. The same in every arm, by the seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from scalesim.simulations.schedule import Schedule
from scalesim.simulations.wording import TOKEN_WORDS, Wording


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
        name: Name of the simulation, e.g. `society`.
        agents: Agent ids; their index is the agent's row.
        schedule: Who calls when; may know more steps than are run.
        steps: Steps to run after the warm-up.
        size: Tokens of one call.
        seed: Seed of prompts and plans.
        hours: Simulated hours at the end of each step; empty where there is no such clock.
        wording: Writes the prompts.
    """

    name: str
    agents: tuple[str, ...]
    schedule: Schedule
    steps: int
    size: PromptSize
    seed: int
    hours: tuple[float, ...] = ()
    wording: Wording = TOKEN_WORDS

    @property
    def total_tokens(self) -> int:
        """Tokens of all agents' state together."""
        return len(self.agents) * self.size.total

    @property
    def digest(self) -> str:
        """Return a short hash of agents, activations, sizes and seed: equal digests run alike."""
        frame = (self.name, self.agents, self.size, self.seed, self.wording)
        text = hashlib.sha256(repr(frame).encode())
        for step in range(self.steps + 1):
            text.update(self.schedule.calls(step).tobytes() + b";")
        return text.hexdigest()[:16]

    def private_prompt(self, row: int) -> str:
        """Return the agent's persona and memory."""
        return self.wording.private(self.seed, self.agents[row], row, self.size.private)

    def observation(self, row: int, step: int, call: int) -> str:
        """Return what an agent sees at one call."""
        return self.wording.observation(self.seed, row, step, call, self.size.observation)

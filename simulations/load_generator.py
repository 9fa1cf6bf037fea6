"""A slice of a workload's agents: makes their calls and reports when each is due again."""

from __future__ import annotations

import asyncio
from math import isfinite
from typing import NamedTuple, Protocol

import numpy as np
from pydantic import SecretStr

from scalesim.headers import identity
from scalesim.sender import Stats
from scalesim.settings import ClientSettings
from scalesim.simulation import Simulation
from scalesim.simulations.call_table import CallRow, CallTable, calls_of
from scalesim.simulations.chat_caller import Caller, PromptCaller
from scalesim.simulations.workload import Workload


class Backend(Protocol):
    """What a generator calls."""

    def caller(self, output_tokens: int) -> PromptCaller:
        """Return a caller whose calls generate `output_tokens` tokens each."""
        ...

    def model_of(self, row: int) -> str:
        """Return the model that an agent's calls name."""
        ...

    def simulation(self, name: str) -> Simulation | None:
        """Return a client that sends hints, or None for arms without a controller."""
        ...


class Target(NamedTuple):
    """The stack that a workload runs on.

    Attributes:
        base_url: Without `/v1`.
        model: Served model name.
        hints: Where hints are sent; None for arms without a controller.
        adapters: How many LoRA adapters the agents are dealt in turn; 0 for the bare model.
        models: How many fine-tunes likewise; 0 for the served model.
        api_key: Of the stack, where it has one.
    """

    base_url: str
    model: str
    hints: ClientSettings | None
    adapters: int = 0
    models: int = 0
    api_key: SecretStr = SecretStr("")

    def caller(self, output_tokens: int) -> PromptCaller:
        """See `Backend.caller`."""
        return Caller(self.base_url, output_tokens, self.api_key.get_secret_value())

    def model_of(self, row: int) -> str:
        """See `Backend.model_of`."""
        if self.models:
            return tune_name(row % self.models)
        return f"{self.model}:{adapter_name(row % self.adapters)}" if self.adapters else self.model

    def simulation(self, name: str) -> Simulation | None:
        """See `Backend.simulation`."""
        return None if self.hints is None else Simulation(name, settings=self.hints)


def adapter_name(number: int) -> str:
    """Return the id of one of a run's adapters."""
    return f"adapter-{number}"


def tune_name(number: int) -> str:
    """Return the id of one of a run's fine-tunes."""
    return f"tune-{number}"


class LoadGenerator:
    """The agents `slice, slice + slices, ...` of a workload.

    Calls of different agents run at the same time; those of one agent follow each other. As soon
    as an agent's last call of a step ended, its next use is reported.

    Args:
        workload: Agents, prompts and schedule.
        share: (slice, slices).
        target: What to call.
    """

    def __init__(self, workload: Workload, share: tuple[int, int], target: Backend) -> None:
        self._workload = workload
        self._slice, self._slices = share
        self._hints = target.simulation(workload.name)
        self._target = target
        self._caller = target.caller(workload.size.output)
        self._private = {
            row: workload.private_prompt(row)
            for row in range(self._slice, len(workload.agents), self._slices)
        }

    async def act(self, step: int, concurrency: int) -> CallTable:
        """Make all calls of this generator's agents in a step, in order, several at a time."""
        if self._hints is not None:
            self._hints.step(step)
        schedule = self._workload.schedule
        calls = schedule.calls(step)
        mine = schedule.active(step)
        mine = mine[mine % self._slices == self._slice]
        counts = np.bincount(calls, minlength=len(self._workload.agents))
        next_use = schedule.next_use(step)
        places = asyncio.Semaphore(concurrency)

        async def turn(row: int) -> list[CallRow]:
            async with places:
                return await self._turn(row, step, int(counts[row]), next_use[row])

        turns = await asyncio.gather(*map(turn, mine.tolist()))
        return calls_of([call for turn in turns for call in turn])

    async def close(self) -> Stats:
        """Close the connections and the simulation; returns its counts of hints."""
        await self._caller.close()
        if self._hints is None:
            return Stats()
        await asyncio.to_thread(self._hints.close)
        return self._hints.stats

    async def _turn(self, row: int, step: int, calls: int, next_use: float) -> list[CallRow]:
        workload, agent = self._workload, self._workload.agents[row]
        model, ahead = self._target.model_of(row), next_use - step
        called = []
        for call in range(calls):
            # With its last call the engine learns at once how far the agent is from then on; what
            # is reported of it comes when the next step's requests may be there.
            tells = self._hints is not None and call == calls - 1 and isfinite(ahead)
            headers = identity(workload.name, agent, ahead if tells else None)
            observation = workload.observation(row, step, call)
            answer = await self._caller.call(model, self._private[row], observation, headers)
            called.append(CallRow(step, row, call, answer))
        if self._hints is not None:
            self._hints.wake(agent, next_use)
        return called

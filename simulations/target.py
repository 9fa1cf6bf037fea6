"""The stack that a run calls, and the names of what it serves."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import SecretStr

from scalesim.settings import ClientSettings
from scalesim.simulation import Simulation


class Target(NamedTuple):
    """The stack that a workload runs on.

    Attributes:
        base_url: Without `/v1`.
        model: Served model name.
        hints: Where hints are sent; None for arms without a controller.
        adapters: How many LoRA adapters the agents are dealt in turn; 0 for the bare model.
        models: How many fine-tunes likewise; 0 for the served model.
        api_key: API key of the stack, where it has one.
    """

    base_url: str
    model: str
    hints: ClientSettings | None
    adapters: int = 0
    models: int = 0
    api_key: SecretStr = SecretStr("")

    def model_of(self, row: int) -> str:
        """Return the model that an agent's calls name."""
        if self.models:
            return tune_name(row % self.models)
        return f"{self.model}:{adapter_name(row % self.adapters)}" if self.adapters else self.model

    def simulation(self, name: str) -> Simulation | None:
        """Return a client that sends hints, or None for arms without a controller."""
        return None if self.hints is None else Simulation(name, settings=self.hints)


def adapter_name(number: int) -> str:
    """Return the id of one of a run's adapters."""
    return f"adapter-{number}"


def tune_name(number: int) -> str:
    """Return the id of one of a run's fine-tunes."""
    return f"tune-{number}"

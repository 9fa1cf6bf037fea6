"""Simulations as the controller knows them: their epochs and their leases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.interner import FREE, Interner
from scalesim.controller.payload_table import TurnsBegun
from scalesim.errors import InvalidRequestError, StaleEpochError, UnavailableError
from scalesim.policies.step_clock import StepClock
from scalesim.settings import ControllerSettings

NO_SIMULATION, NO_SIMULATION_NAME = 0, "-"
"""The simulation of payloads that none has reported; none can have this name."""

MAX_SIMULATIONS = 4096
"""Far above what shares a cluster; keeps a client that makes up names from filling memory."""

MAX_LEAP = 2**32
"""Steps from one report to the next: what skips days counted in seconds or milliseconds stays far
below, an absurd number that no later report could follow is refused."""

_ASSUMED_STEP_S = 10.0
"""Assumed length of a step until two were reported: language models take seconds."""


class Lease(NamedTuple):
    """A living simulation; `step_s` is how long a step lately takes, 0 before two are reported."""

    number: int
    name: str
    epoch: int
    seen_at: float
    step_s: float


class Simulations:
    """Newest epoch and last sign of life of every living simulation, by number.

    Args:
        settings: Quotas, and how many simulations a key may tell of.
        names: Names by number; number 0 is `NO_SIMULATION`.
        epochs: Newest epoch by number.
        now: Seconds; every simulation is taken to have been heard of now.

    Attributes:
        step_s: float64, seconds a step takes, by simulation number.
        quota: float64, largest share of a tier, by simulation number.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        names: Sequence[str] = (NO_SIMULATION_NAME,),
        epochs: Sequence[float] = (0.0,),
        now: float = 0,
    ) -> None:
        self.names = Interner(names)
        self.epochs: NDArray[np.float64] = np.zeros(MAX_SIMULATIONS)
        """float64, newest epoch by simulation number; written here only."""
        self.epochs[: len(epochs)] = epochs
        self.epochs[[number for number, name in enumerate(names) if name == FREE]] = 0
        self.turns = TurnsBegun(self.epochs, self.epochs.copy(), np.full(MAX_SIMULATIONS, now))
        """How far each is, by simulation number; written here only."""
        self._seen = np.full(MAX_SIMULATIONS, now)
        self._clocks: dict[int, StepClock] = {}
        self.step_s = np.full(MAX_SIMULATIONS, _ASSUMED_STEP_S)
        self._holders: dict[int, str] = {}
        self._most_held = settings.simulations_per_key
        self._quotas = settings.quotas
        self._key_quotas = settings.key_quotas
        self.quota = np.ones(MAX_SIMULATIONS)
        self.quota[: len(names)] = [settings.quotas.get(name, 1.0) for name in names]

    def __iter__(self) -> Iterator[Lease]:
        for number, name in enumerate(self.names):
            if name and number != NO_SIMULATION:
                step_s = self._clocks[number].step_s if number in self._clocks else 0.0
                epoch, seen_at = int(self.epochs[number]), float(self._seen[number])
                yield Lease(number, name, epoch, seen_at, step_s)

    def advance(self, name: str, epoch: int, now: float, holder: str = "") -> tuple[int, bool]:
        """Renew the lease of a simulation that reports for `epoch`.

        Returns:
            Its number, and whether the epoch is a new one.

        Raises:
            StaleEpochError: A newer epoch is known.
            InvalidRequestError: The epoch is farther ahead of the newest than any step leads.
            UnavailableError: Too many simulations are alive.
        """
        number = self.touch(name, now, holder)
        newest = int(self.epochs[number])
        if epoch < newest:
            raise StaleEpochError(
                f"epoch {epoch} of simulation {name!r} is older than {newest}, the newest one "
                "reported: send the current step, or end the simulation before starting it again",
                "epoch",
            )
        if newest and epoch > newest + MAX_LEAP:
            raise InvalidRequestError(
                f"epoch {epoch} of simulation {name!r} is {epoch - newest} steps ahead of the "
                f"newest one: send its step counter, at most {MAX_LEAP} ahead at once, or end the "
                "simulation before starting it again",
                "epoch",
            )
        if epoch > newest:
            self._time(number, epoch, now)
            self.begin_turns(np.array([number]), np.array([float(epoch)]), now)
        self.epochs[number] = epoch
        return number, epoch > newest

    def begin_turns(self, numbers: NDArray[np.int32], due: NDArray[np.float64], now: float) -> None:
        """Note that turns begin.

        Args:
            numbers: Numbers of their simulations.
            due: float64[n], the step and its part that each is due at, not after this step.
            now: Seconds.
        """
        later = due > self.turns.places[numbers]
        np.maximum.at(self.turns.places, numbers, due)
        self.turns.since[numbers[later]] = now

    def touch(self, name: str, now: float, holder: str = "") -> int:
        """Return the number of a simulation and renew its lease; a new one starts at epoch 0.

        Args:
            name: Checked name.
            now: Seconds.
            holder: Holder of the key it was reported with; empty where none was asked for.

        Raises:
            UnavailableError: Too many simulations are alive, in all or of this holder.
        """
        if holder and self.names.find(name) is None:
            held = sum(other == holder for other in self._holders.values())
            if held >= self._most_held:
                raise UnavailableError(
                    f"{held} simulations of this key are alive, no more are taken: end one, or "
                    "raise controller.simulations_per_key"
                )
        number = self.names.number(name)
        if number >= MAX_SIMULATIONS:
            self.names.free(number)
            raise UnavailableError(
                f"{MAX_SIMULATIONS - 1} simulations are alive, no more are taken: end one, or try "
                "again when a silent one's lease ran out"
            )
        self._seen[number] = now
        former = self._holders.get(number)
        if former != holder:
            self._holders[number] = holder
            self.quota[number] = self._quotas.get(name, 1.0)
            self._share_out(former)
            self._share_out(holder)
        return number

    def max_agents(self, number: int) -> int | None:
        """Return how many agents a simulation's key may have; None where it has no bound."""
        quota = self._key_quotas.get(self._holders.get(number, ""))
        return quota.max_agents if quota is not None else None

    def with_same_key(self, number: int) -> NDArray[np.bool_]:
        """Return bool[m] by simulation number: those reported with the key of one, it included."""
        same = np.zeros(MAX_SIMULATIONS, np.bool_)
        same[self._of(self._holders.get(number))] = True
        same[number] = True
        return same

    def end(self, number: int) -> None:
        """Forget a simulation; nothing may refer to its number any more."""
        self.names.free(number)
        self.epochs[number] = self.turns.places[number] = 0
        self._clocks.pop(number, None)
        former = self._holders.pop(number, None)
        self.quota[number] = 1.0
        self._share_out(former)
        self.step_s[number] = _ASSUMED_STEP_S

    def silent(self, now: float, lease_s: float) -> list[Lease]:
        """Return the simulations whose lease ran out."""
        return [simulation for simulation in self if simulation.seen_at < now - lease_s]

    def _time(self, number: int, epoch: int, now: float) -> None:
        """Take the time of the steps that have just ended; the first ones have no begin."""
        clock = self._clocks.setdefault(number, StepClock(0.0))
        clock.tick(epoch, now)
        self.step_s[number] = clock.step_s or _ASSUMED_STEP_S

    def _of(self, holder: str | None) -> list[int]:
        return [number for number, other in self._holders.items() if other == holder]

    def _share_out(self, holder: str | None) -> None:
        """Give each simulation of a key an equal part of what they may have together."""
        quota = self._key_quotas.get(holder or "")
        if quota is not None and quota.max_share < 1:
            mine = self._of(holder)
            for number in mine:
                own = self._quotas.get(self.names[number], 1.0)
                self.quota[number] = min(own, quota.max_share / len(mine))

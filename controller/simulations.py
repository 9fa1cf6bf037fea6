"""Simulations as the controller knows them: their epochs and their leases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.numbering import Numbering
from scalesim.errors import StaleEpochError, UnavailableError

NOBODY, NOBODYS_NAME = 0, "-"
"""The simulation of payloads that none has reported; none can have this name."""

MAX_SIMULATIONS = 4096
"""Far above what shares a cluster; keeps a client that makes up names from filling memory."""


class Lease(NamedTuple):
    """A living simulation; `step_s` is how long a step lately took, 0 before two are told."""

    number: int
    name: str
    epoch: int
    seen_at: float
    step_s: float


class Simulations:
    """Newest epoch and last sign of life of every living simulation, by number.

    Args:
        names: Names by number; number 0 is `NOBODY`.
        epochs: Newest epoch by number.
        now: Seconds; every simulation is taken to have been heard of now.
    """

    def __init__(
        self,
        names: Sequence[str] = (NOBODYS_NAME,),
        epochs: Sequence[float] = (0.0,),
        now: float = 0,
    ) -> None:
        self.names = Numbering(names)
        self.epochs: NDArray[np.float64] = np.zeros(MAX_SIMULATIONS)
        """float64, newest epoch by simulation number; written here only."""
        self.epochs[: len(epochs)] = epochs
        self._seen = np.full(MAX_SIMULATIONS, now)
        self._moved_at = np.full(MAX_SIMULATIONS, np.nan)
        self._step_s = np.zeros(MAX_SIMULATIONS)

    def __iter__(self) -> Iterator[Lease]:
        for number, name in enumerate(self.names):
            if name and number != NOBODY:
                seen_at, step_s = float(self._seen[number]), float(self._step_s[number])
                yield Lease(number, name, int(self.epochs[number]), seen_at, step_s)

    def advance(self, name: str, epoch: int, now: float) -> tuple[int, bool]:
        """Renew the lease of a simulation that reports for `epoch`.

        Returns:
            Its number, and whether the epoch is a new one.

        Raises:
            StaleEpochError: A newer epoch is known.
        """
        number = self.touch(name, now)
        newest = int(self.epochs[number])
        if epoch < newest:
            raise StaleEpochError(
                f"epoch {epoch} of simulation {name!r} is older than {newest}, the newest one "
                "reported: send the current step, or end the simulation before starting it again",
                "epoch",
            )
        if epoch > newest:
            self._time(number, epoch - newest, now)
        self.epochs[number] = epoch
        return number, epoch > newest

    def touch(self, name: str, now: float) -> int:
        """Return the number of a simulation and renew its lease; a new one starts at epoch 0.

        Raises:
            UnavailableError: Too many simulations are alive.
        """
        number = self.names.number(name)
        if number >= MAX_SIMULATIONS:
            self.names.free(number)
            raise UnavailableError(
                f"{MAX_SIMULATIONS - 1} simulations are alive, no more are taken: end one, or try "
                "again when a silent one's lease ran out"
            )
        self._seen[number] = now
        return number

    def end(self, number: int) -> None:
        """Forget a simulation; nothing may refer to its number any more."""
        self.names.free(number)
        self.epochs[number] = self._step_s[number] = 0
        self._moved_at[number] = np.nan

    def silent(self, now: float, lease_s: float) -> list[Lease]:
        """Return the simulations whose lease ran out."""
        return [simulation for simulation in self if simulation.seen_at < now - lease_s]

    def _time(self, number: int, steps: int, now: float) -> None:
        """Take the time of the steps that have just ended; the first ones have no begin."""
        began, self._moved_at[number] = self._moved_at[number], now
        if not np.isnan(began):
            self._step_s[number] = (now - began) / steps

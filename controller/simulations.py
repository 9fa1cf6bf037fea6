"""Simulations as the controller knows them: their epochs and their leases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.names import Names
from scalesim.errors import StaleEpochError

UNOWNED = 0
"""Number of the nameless simulation that owns payloads nobody has reported yet."""


class Simulations:
    """Newest epoch and last sign of life by simulation number.

    Args:
        names: Names already numbered; the first is the nameless one.
        epochs: float64, one for each name.
        now: Seconds; every simulation is taken to be alive now.
    """

    def __init__(
        self, names: Names | None = None, epochs: NDArray[np.float64] | None = None, now: float = 0
    ) -> None:
        self.names = names or Names([""])
        self._epochs = np.zeros(max(len(self.names), 64))
        self._epochs[: len(self.names)] = 0 if epochs is None else epochs
        self._seen = np.full(self._epochs.size, now)
        self._alive = np.zeros(self._epochs.size, np.bool_)
        self._alive[1 : len(self.names)] = True

    @property
    def epochs(self) -> NDArray[np.float64]:
        """float64, newest epoch by simulation number; not to be written to."""
        return self._epochs

    @property
    def alive(self) -> list[int]:
        """Numbers of the simulations whose lease runs."""
        return [int(number) for number in np.flatnonzero(self._alive)]

    def advance(self, name: str, epoch: int, now: float) -> int:
        """Return the number of a simulation that reports for `epoch`, and renew its lease.

        Raises:
            StaleEpochError: A newer epoch is known.
        """
        number = self.touch(name, now)
        newest = int(self._epochs[number])
        if epoch < newest:
            raise StaleEpochError(
                f"epoch {epoch} of simulation {name!r} is older than {newest}, the newest one "
                "reported: send the current step, or end the simulation before starting it again",
                "epoch",
            )
        self._epochs[number] = epoch
        return number

    def touch(self, name: str, now: float) -> int:
        """Return the number of a simulation and renew its lease; a new one starts at epoch 0."""
        number = self.names.number(name)
        if number == self._epochs.size:
            self._epochs, self._seen, self._alive = (
                np.concatenate([column, np.zeros_like(column)])
                for column in (self._epochs, self._seen, self._alive)
            )
        self._seen[number] = now
        self._alive[number] = True
        return number

    def end(self, number: int) -> None:
        """Forget a simulation's epoch and lease; its name keeps its number."""
        self._alive[number] = False
        self._epochs[number] = 0

    def silent(self, now: float, lease_s: float) -> list[int]:
        """Return the numbers of simulations whose lease ran out."""
        overdue = self._alive & (self._seen < now - lease_s)
        return [int(number) for number in np.flatnonzero(overdue)]

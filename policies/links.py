"""What moving or rebuilding a byte costs on one replica."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalesim.errors import ConfigurationError
from scalesim.vocabulary import Distances, TransferStats

_ASSUMED_S = 1e-3
"""Seconds of measurement that an assumed speed counts as."""

_FADE = 0.9
"""Weight that earlier measurements keep at each new one."""

_MEASURED_BY = {
    "host_bytes_per_s": ("loaded_bytes", "loaded_s"),
    "storage_bytes_per_s": ("staged_bytes", "staged_s"),
    "rebuild_bytes_per_s": ("computed_bytes", "computed_s"),
}
"""What a `TransferStats` says of each speed of `Links`."""


@dataclass(frozen=True, slots=True)
class Links:
    """Speeds of one replica, measured or taken from its hardware.

    Attributes:
        host_bytes_per_s: Host memory to device; PCIe 4.0 x16 gives about 25 GB/s in practice.
        storage_bytes_per_s: Storage to host memory; one NVMe drive reads about 5 GB/s.
        rebuild_bytes_per_s: State that prefill computes: bytes per token times tokens per second
            (131,072 x 10,000 for Llama 3.1 8B on one GPU).
        window_s: How far ahead of now one plan may fill a link; what is left waits for the next
            plan, so that what has become nearer meanwhile goes first.

    Raises:
        ConfigurationError: A value is not above zero.
    """

    host_bytes_per_s: float = 25e9
    storage_bytes_per_s: float = 5e9
    rebuild_bytes_per_s: float = 1.3e9
    window_s: float = 1.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise ConfigurationError(f"links: {name} is {value}; it must be above 0")

    def relative_price(
        self, in_host: NDArray[np.bool_], in_storage: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return what bringing a byte back to the device costs, in loads from host memory.

        The cheapest way counts: a load from where there will be a copy, or prefill; at least 1.
        """
        staged = 1.0 + self.host_bytes_per_s / self.storage_bytes_per_s
        load = np.where(in_host, 1.0, np.where(in_storage, staged, np.inf))
        rebuilt = max(self.host_bytes_per_s / self.rebuild_bytes_per_s, 1.0)
        return np.minimum(load, rebuilt).astype(np.float32)

    def worth_fetching(
        self,
        distance: Distances,
        missing: NDArray[np.int64],
        bytes_per_s: float,
        step_s: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Tell which fetches to issue now on a link that carries them in this order.

        Args:
            distance: float32[m], steps to the use of each, most urgent first.
            missing: int64[m], bytes of each.
            bytes_per_s: Bytes per second of the link.
            step_s: float64[m], seconds a step of each one's simulation takes.

        Returns:
            bool[m], True where the fetch begins within the window and waiting for it is no worse
            than prefill: it arrives before its step ends, or rebuilding would take even longer.
        """
        arrives_s = np.cumsum(missing) / bytes_per_s
        begins_s = arrives_s - missing / bytes_per_s
        rebuilt_s = missing / self.rebuild_bytes_per_s
        needed_s = (distance.astype(np.float64) + 1.0) * step_s
        return (begins_s < self.window_s) & (arrives_s <= needed_s + rebuilt_s)


class LinkMeter:
    """Speeds of one replica as its transfers report them; assumed ones until something moved.

    A mean over bytes that fades: a long copy counts for more than many short ones, which tell the
    time to begin a copy rather than the link's speed.
    """

    def __init__(self) -> None:
        assumed = Links()
        self._sums = {
            speed: np.array([getattr(assumed, speed), 1.0]) * _ASSUMED_S for speed in _MEASURED_BY
        }

    @property
    def links(self) -> Links:
        """Return the speeds as they are known now."""
        return Links(**{speed: float(size / s) for speed, (size, s) in self._sums.items()})

    def observe(self, before: TransferStats, after: TransferStats) -> None:
        """Take over what was carried between two transfers of one kind.

        An engine that started again counts from 0: nothing is learned from that one.
        """
        for speed, fields in _MEASURED_BY.items():
            carried = np.array([getattr(after, name) - getattr(before, name) for name in fields])
            if (carried > 0).all():
                self._sums[speed] = self._sums[speed] * _FADE + carried

"""Models in host memory: read from storage on a thread of their own, farthest out first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, NamedTuple, TypeVar

from scalesim.deployments.engine.payloads.moves import MoveOutcome

HeldWeights = TypeVar("HeldWeights")


class EndedRead(NamedTuple):
    """A read that ended: whole, or in an error."""

    model: str
    error: BaseException | None


class HostModels(Generic[HeldWeights]):
    """Some models' weights; a model is here whole or not at all.

    Args:
        places: How many models fit.
        begin: Prepares reading a model, and returns what reads it: that runs on the thread, may
            raise, and returns the weights.
        distance: Returns how far a model is; the farthest makes room.
        agreed: Returns whether all ranks say yes; called on all of them at once.
    """

    def __init__(
        self,
        places: int,
        begin: Callable[[str], Callable[[], HeldWeights]],
        distance: Callable[[str], float],
        agreed: Callable[[bool], bool] = bool,
    ) -> None:
        self._places = places
        self._begin = begin
        self._distance = distance
        self._agreed = agreed
        self._weights: dict[str, HeldWeights] = {}
        self._reading: tuple[str, Future[HeldWeights]] | None = None
        self._thread = ThreadPoolExecutor(1, "scalesim-models")

    @property
    def held(self) -> Collection[str]:
        """Models that are here whole."""
        return self._weights.keys()

    def __getitem__(self, model: str) -> HeldWeights:
        """Return the weights of a model that is held."""
        return self._weights[model]

    def fetch(self, model: str, nearer_than: float, needed: Collection[str]) -> MoveOutcome:
        """Start reading a model, one at a time.

        Args:
            model: Which.
            nearer_than: What is not farther than this does not make room.
            needed: Models that do not make room either: requests wait for them.
        """
        if model in self._weights:
            return MoveOutcome.DONE
        if self._reading is not None:
            return MoveOutcome.BUSY
        if len(self._weights) >= self._places:
            free = [held for held in self._weights if held not in needed]
            farthest = max(free, key=self._distance, default=None)
            if farthest is None or self._distance(farthest) <= nearer_than:
                return MoveOutcome.REFUSED
            del self._weights[farthest]
        self._reading = model, self._thread.submit(self._begin(model))
        return MoveOutcome.STARTED

    def ended(self) -> EndedRead | None:
        """Return the read that ended since the last call, if one did."""
        if self._reading is None:
            return None
        model, future = self._reading
        if not self._agreed(future.done()):
            return None
        self._reading = None
        error = future.exception()
        if not self._agreed(error is None):
            return EndedRead(model, error or RuntimeError("another rank could not read it"))
        self._weights[model] = future.result()
        return EndedRead(model, None)

    def leave(self, model: str) -> None:
        """Forget a model's weights; one that is not held is ignored."""
        self._weights.pop(model, None)

    @property
    def reading(self) -> str | None:
        """The model on its way, if one is."""
        return self._reading[0] if self._reading is not None else None

    def await_read(self, timeout_s: float) -> None:
        """Leave the processor to the read on its way, until it ends or for `timeout_s`."""
        if self._reading is not None:
            wait([self._reading[1]], timeout_s)

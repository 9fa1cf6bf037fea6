"""How long a step lately takes."""

from __future__ import annotations


class StepClock:
    """Seconds a step takes, by those seen so far.

    Args:
        step_s: First guess, used until a step was seen.
        weight: Share of a new step in the running mean.
    """

    def __init__(self, step_s: float = 1.0, weight: float = 0.2) -> None:
        self.step_s = step_s
        self._weight = 1.0
        self._next_weight = weight
        self._last: tuple[float, float] | None = None

    def tick(self, step: float, now_s: float) -> None:
        """Note that `step` began at `now_s`; steps or seconds going back restart the measure."""
        if self._last is not None and step > self._last[0] and now_s > self._last[1]:
            seen = (now_s - self._last[1]) / (step - self._last[0])
            self.step_s += self._weight * (seen - self.step_s)
            self._weight = self._next_weight
        self._last = (step, now_s)

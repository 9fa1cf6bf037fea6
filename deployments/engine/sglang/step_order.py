"""Which of a simulation's waiting requests go first: those of its earliest steps.

Where agents go on out of order, who is behind holds others up, and who is ahead nobody yet.
Requests carry their step as SGLang's `priority`. Its own priority scheduling stays off: a number
would mean the same for all simulations, so that one at step 3 starved another at step 900, requests
without one would go last, and what runs would be sent back for what waits.
"""

from __future__ import annotations

from typing import Any


def keep_order_of_steps(scheduler: Any) -> None:
    """Put a scheduler's waiting requests in order whenever it makes a batch; see `by_step`.

    Who then holds some of them back, such as `admission_order`, has them in this order.
    """
    calc_priority = scheduler.policy.calc_priority

    def ordered(queue: list[Any], running_batch: Any, **more: Any) -> None:
        calc_priority(queue, running_batch, **more)
        by_step(queue)

    scheduler.policy.calc_priority = ordered


def by_step(queue: list[Any]) -> None:
    """Let the requests of each simulation take the places that they have by their steps.

    Those of one step stay in their order; those without a step, and all of others, where they are.

    Args:
        queue: Requests with a `priority`, which is a step or None, and a `cache_salt`, which is
            their simulation's; changed.
    """
    places: dict[str | None, list[int]] = {}
    for place, request in enumerate(queue):
        if request.priority is not None:
            places.setdefault(request.cache_salt, []).append(place)
    for taken in places.values():
        in_order = sorted((queue[place] for place in taken), key=_step)
        for place, request in zip(taken, in_order, strict=True):
            queue[place] = request


def _step(request: Any) -> int:
    step: int = request.priority
    return step

"""Which waiting requests join the next batch: those whose prefix is on the device go first.

A batch of SGLang's waits for the copies of all its requests' prefixes, and whatever runs waits with
it. Here a request whose prefix is in host memory stays in the queue while its copy is on its way.
A pass that computes little takes as long as one that computes more, as both read all weights: who
is ready while others are under way waits for them a few passes, so that they share one, where that
is the shorter delay: of those who wait by the copies, or of all who run by one more pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from scalesim.deployments.engine.payloads.moves import Arrivals
from scalesim.deployments.engine.sglang.requests_in_use import is_running, key_of

LOOKED_AT_A_PASS = 64
"""First requests of the queue that may wait for a copy; those behind come in SGLang's own way."""

FULL_PASS_TOKENS = 1024
"""A pass of so many tokens computes for as long as a processor launches its kernels one by one (40
ms on an H200, measured), or for longer than it reads weights where a graph launches them: with them
in it nothing is gained by waiting for more."""

HIDDEN_PASSES = 2
"""Where copies of no more than so many passes are left, requests wait for them in their batch: it
is chosen while the pass before it runs, and waits itself layer by layer. One pass would be made for
those who are ready, and one for the others: both together take no longer with them."""

PATIENCE_PASSES = 4
"""Passes that a request which could run waits for others' copies."""


OVERTAKEN_PASSES = 64
"""Passes for which others may go before the first that is held back; then SGLang's own order holds
until it is in a batch. For who is large there may never be room otherwise."""


class WaitedPrefixes(Protocol):
    """Where prefixes of waiting requests' agents are.

    Attributes:
        pass_tokens: Tokens that the link copies while a pass is made that computes little.
    """

    pass_tokens: int

    def bring(self, keys: Sequence[int], hidden: int, running: int) -> Arrivals:
        """Begin the copies of agents, in order, while so many run; return who waits for one.

        Nobody does where no more than `hidden` tokens are left to copy.
        """
        ...

    def resident_tokens(self, key: int) -> int:
        """Return how many tokens of an agent's prefix need no copy and no computing."""
        ...


class AdmissionOrder:
    """Holds requests back while SGLang makes a batch of the others.

    Args:
        scheduler: Its two methods that choose a batch's requests are wrapped.
        cache: Begins copies.
    """

    def __init__(self, scheduler: Any, cache: WaitedPrefixes) -> None:
        self._scheduler = scheduler
        self._cache = cache
        self._queue: list[Any] = []
        self._held: set[int] = set()
        self._waited_passes = 0
        self._first = 0
        self._overtaken_passes = 0
        calc_priority = scheduler.policy.calc_priority
        get_new_batch_prefill = scheduler.get_new_batch_prefill

        def ordered(queue: list[Any], running_batch: Any, **more: Any) -> None:
            calc_priority(queue, running_batch, **more)
            self._hold_back(queue, running_batch)

        def filled(running_batch: Any) -> Any:
            plan = get_new_batch_prefill(running_batch)
            self._give_back()
            return plan

        scheduler.policy.calc_priority = ordered
        scheduler.get_new_batch_prefill = filled

    def _hold_back(self, queue: list[Any], running_batch: Any) -> None:
        keys = {id(request): key_of(request) for request in queue[:LOOKED_AT_A_PASS]}
        agents = list(dict.fromkeys(key for key in keys.values() if key is not None))
        running = len(running_batch.reqs)
        arrivals = self._cache.bring(agents, HIDDEN_PASSES * self._cache.pass_tokens, running)
        if not arrivals.coming and not arrivals.waiting:
            self._waited_passes = 0
            return
        late = arrivals.coming | arrivals.waiting
        if self._is_overtaken(next(number for number, key in keys.items() if key in late)):
            return
        ready = [request for request in queue if keys.get(id(request)) not in late]
        if is_running(self._scheduler, running_batch):
            chosen = ready if self._is_worth_a_pass(ready, running, arrivals.tokens) else []
        else:
            # Nothing is held up: what there is begins, layer by layer what is under way.
            coming = [request for request in queue if keys.get(id(request)) in arrivals.coming]
            chosen = ready or coming or queue
            if not arrivals.waiting and self._is_worth_one_pass(
                len(ready), len(coming), arrivals.tokens
            ):
                chosen = queue
        self._queue, here = list(queue), {id(request) for request in chosen}
        self._held = {id(request) for request in queue} - here
        queue[:] = [request for request in queue if id(request) in here]

    def _is_overtaken(self, first: int) -> bool:
        """Return whether the first request to be held back was so for too long."""
        self._overtaken_passes = self._overtaken_passes + 1 if first == self._first else 0
        self._first = first
        return self._overtaken_passes > OVERTAKEN_PASSES

    def _is_worth_a_pass(self, ready: list[Any], running: int, tokens: int) -> bool:
        """Return whether those who are ready get a pass of their own, `tokens` being under way.

        It delays them and all who run, as the others take one more; to wait delays them until what
        is left of the copies is hidden by the pass that all share.
        """
        if not ready:
            return False
        self._waited_passes += 1
        pass_tokens = self._cache.pass_tokens
        waiting_costs = len(ready) * (tokens - pass_tokens)
        pass_costs = (running + len(ready)) * pass_tokens
        worth = (
            self._scheduler.chunked_req is not None  # the pass is made anyway
            or not tokens  # the others wait for room: it may be long
            or self._waited_passes > PATIENCE_PASSES
            or waiting_costs > pass_costs
            or sum(map(self._fresh_tokens, ready)) >= FULL_PASS_TOKENS
        )
        if worth:
            self._waited_passes = 0
        return worth

    def _is_worth_one_pass(self, ready: int, coming: int, tokens: int) -> bool:
        """Return whether those who are ready begin with the others, `tokens` being under way.

        It delays the ready until the last copy is there. Two passes delay them by the second one,
        and the others by what is left of a pass as copies end, half of it on the average.
        """
        pass_tokens = self._cache.pass_tokens
        return ready * (tokens - pass_tokens) <= (ready + coming / 2) * pass_tokens

    def _fresh_tokens(self, request: Any) -> int:
        """Return about how many tokens of a request are to be computed."""
        key = key_of(request)
        here = self._cache.resident_tokens(key) if key is not None else 0
        return max(len(request.origin_input_ids) + len(request.output_ids) - here, 1)

    def _give_back(self) -> None:
        """Put those held back where they were."""
        if not self._held:
            return
        left = {id(request) for request in self._scheduler.waiting_queue} | self._held
        before = {id(request) for request in self._queue}
        came = [each for each in self._scheduler.waiting_queue if id(each) not in before]
        queue = [request for request in self._queue if id(request) in left]
        self._scheduler.waiting_queue[:] = queue + came
        self._queue, self._held = [], set()

"""Several models in one SGLang engine: one is resident, requests of others wait for a swap.

A batch has one model: the waiting queue is cut down to the resident one's requests while SGLang
makes a batch of it, and weights are swapped only when no request is running.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import Any

from sglang.srt.constants import HEALTH_CHECK_RID_PREFIX
from sglang.srt.managers.io_struct import AbortReq

from scalesim.deployments.engine.models.host_models import HostModels
from scalesim.deployments.engine.models.model_scheduler import ModelScheduler, ModelTurn
from scalesim.deployments.engine.models.shared_memory import Ranks
from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange, RequestNeed
from scalesim.deployments.engine.sglang.requests_in_use import (
    LiveRequests,
    agent_of,
    is_running,
    requests,
)
from scalesim.deployments.engine.sglang.weight_reader import BASE, WeightReader, Weights, write
from scalesim.errors import ConfigurationError, InvalidRequestError
from scalesim.settings import ModelSettings

_YIELD_S = 0.001
"""A pass that can run nothing before a read has ended leaves the processor to it for so long."""


class EngineModels:
    """`payloads.model_weights.ModelWeights` of one scheduler, and the turns its models take.

    Args:
        scheduler: Its two methods that choose a batch's requests are wrapped.
        live: Its requests.
        ranks: All of its engine.
        settings: Which models, and how much host memory for them.

    Raises:
        ConfigurationError: Its ranks can share no memory, and what each needs for one is more.
    """

    def __init__(
        self, scheduler: Any, live: LiveRequests, ranks: Ranks, settings: ModelSettings
    ) -> None:
        self._ranks = ranks
        base = Path(scheduler.server_args.model_path)
        reader = WeightReader(base, settings, ranks)
        self.model_bytes = reader.size_bytes
        self.places = (settings.host_bytes or 0) // reader.held_bytes
        if not self.places:
            raise ConfigurationError(
                f"engine.models.host_bytes is {settings.host_bytes}, one model takes "
                f"{reader.held_bytes} of all ranks together, which share no memory here: use more"
            )
        self.storage_bytes = shutil.disk_usage(settings.roots[0]).total
        self.resident: str | None = BASE
        self.swapped_s = 0.0
        self._scheduler = scheduler
        self._updater = scheduler.tp_worker.model_runner.weight_updater
        self.distance: Callable[[str], float] = lambda model: inf
        self._host: HostModels[Weights] = HostModels(
            self.places, reader.begin, lambda model: self.distance(model), self._ranks.agreed
        )
        self._turns = ModelScheduler(settings.turn_requests, BASE)
        self._held_back: list[Any] = []
        self._need_changes = live.changes(_use)
        self._offered = 0
        self._wrap(scheduler)

    @property
    def held(self) -> Collection[str]:
        return self._host.held

    @property
    def reading(self) -> str | None:
        return self._host.reading

    def need_changes(self) -> NeedChange:
        return NeedChange(*self._need_changes.take())

    def fetch(self, model: str, distance: float) -> MoveOutcome:
        return self._host.fetch(model, distance, self._needed())

    def leave(self, model: str) -> None:
        self._host.leave(model)

    def swap(self, model: str) -> bool:
        return not requests(self._scheduler) and self._swap(model)

    def settle(self) -> bool:
        """Take in what was read, and read what requests wait for, in their order."""
        ended = self._host.ended()
        if ended is not None and ended.error is not None:
            self._fail(ended.model, ended.error)
        needed = self._needed()
        for model in needed:
            self._host.fetch(model, -inf, needed)
        if self.resident is None and BASE in self.held:
            self.swap(BASE)
        return bool(needed)

    def _wrap(self, scheduler: Any) -> None:
        calc_priority = scheduler.policy.calc_priority
        get_new_batch_prefill = scheduler.get_new_batch_prefill

        def ordered(queue: list[Any], running_batch: Any, **more: Any) -> None:
            calc_priority(queue, running_batch, **more)
            self._hold_back(queue, is_running(scheduler, running_batch))

        def filled(running_batch: Any) -> Any:
            plan = get_new_batch_prefill(running_batch)
            self._give_back(scheduler.waiting_queue)
            return plan

        scheduler.policy.calc_priority = ordered
        scheduler.get_new_batch_prefill = filled

    def _hold_back(self, queue: list[Any], busy: bool) -> None:
        """Leave in the queue only what may run now, after a swap where one is due."""
        turn = self._turn(queue)
        if turn is not None and turn.model != self.resident and not busy:
            self._swap(turn.model)
            turn = self._turn(queue)
        mine: list[Any] = []
        if turn is not None and turn.model == self.resident:
            mine = [request for request in queue if self._model_of(request) == turn.model]
            mine = mine[: turn.requests]
        if not (mine or busy):
            self._host.await_read(_YIELD_S)
        self._offered, chosen = len(mine), set(mine)
        self._held_back = [request for request in queue if request not in chosen]
        queue[:] = mine

    def _give_back(self, queue: list[Any]) -> None:
        if self._held_back or self._offered:
            self._turns.admitted(max(0, self._offered - len(queue)))
            queue += self._held_back
            self._held_back, self._offered = [], 0

    def _turn(self, queue: list[Any]) -> ModelTurn | None:
        return self._turns.next_turn(self.resident, list(map(self._model_of, queue)), self.held)

    def _model_of(self, request: Any) -> str:
        """Return the model a request is for; a probe only asks whether the engine answers."""
        hint = agent_of(request)
        if hint is not None:
            return hint.model
        is_probe = request.rid.startswith(HEALTH_CHECK_RID_PREFIX)
        return self.resident if is_probe and self.resident is not None else BASE

    def _needed(self) -> list[str]:
        """Return the models that requests wait for and that are not in the engine."""
        waiting = list(map(self._model_of, self._scheduler.waiting_queue))
        if self.resident is None and not waiting:
            return [BASE]  # a swap failed: an engine without weights is of no use to the next one
        return [model for model in dict.fromkeys(waiting) if model != self.resident]

    def _swap(self, model: str) -> bool:
        self.resident = None  # until its last byte is there, the weights belong to no model
        fault: Exception | None = None
        try:
            self.swapped_s = write(self._host[model], self._updater)
        except Exception as error:
            fault = error
        if not self._ranks.agreed(fault is None):
            self._host.leave(model)
            if model == BASE:
                raise RuntimeError(
                    "the engine's own weights cannot be written back: it has none any more, and "
                    "ends"
                ) from fault
            self._fail(model, fault or RuntimeError("another rank could not write it"))
            return False
        self.resident = model
        self._turns.began(model)
        return True

    def _fail(self, model: str, error: BaseException) -> None:
        """Answer the requests that wait for a model; the next one for it tries again."""
        wrong = isinstance(error, InvalidRequestError)
        reason = {
            "type": "abort",
            "status_code": HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.SERVICE_UNAVAILABLE,
            "message": f"model {model.partition('@')[0]!r} cannot be loaded: {error}",
        }
        for request in list(self._scheduler.waiting_queue):
            if self._model_of(request) == model:
                self._scheduler.abort_request(AbortReq(rid=request.rid, finished_reason=reason))


def _use(request: Any) -> RequestNeed:
    hint = agent_of(request)
    return (
        RequestNeed(request.rid, hint.key, hint.model)
        if hint
        else RequestNeed(request.rid, None, BASE)
    )

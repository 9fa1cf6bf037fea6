"""A scheduler as payload kinds see it: `payloads.interfaces.PayloadEngine`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalesim.deployments.engine.sglang.adapter_weights import AdapterLoads
from scalesim.deployments.engine.sglang.admission_order import AdmissionOrder
from scalesim.deployments.engine.sglang.engine_models import EngineModels
from scalesim.deployments.engine.sglang.lora_slots import LoRASlots
from scalesim.deployments.engine.sglang.radix_cache import DistanceRadixCache
from scalesim.deployments.engine.sglang.ranks import TensorRanks
from scalesim.deployments.engine.sglang.requests_in_use import LiveRequests
from scalesim.deployments.engine.sglang.step_order import keep_order_of_steps
from scalesim.settings import ModelSettings


class SchedulerEngine:
    """The parts of one scheduler that hold agent state.

    Args:
        scheduler: SGLang's.
        models: Which models it may load besides its own; None for none.
        payloads: Settings of payload kinds from outside, by kind.
    """

    def __init__(
        self,
        scheduler: Any,
        models: ModelSettings | None,
        payloads: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.settings = payloads
        self.tree: DistanceRadixCache = scheduler.tree_cache
        live = LiveRequests(scheduler)
        self.tree.attend(scheduler, live)
        ranks = TensorRanks(scheduler)
        self.slots = LoRASlots(scheduler, live, ranks) if scheduler.enable_lora else None
        if self.slots is not None:
            AdapterLoads(scheduler.tp_worker.model_runner.lora_manager, ranks)
            self.slots.attach()
        keep_order_of_steps(scheduler)
        self.weights = EngineModels(scheduler, live, ranks, models) if models is not None else None
        if self.weights is None:  # which has turns of its own
            AdmissionOrder(scheduler, self.tree)

"""Payload `model`: the fine-tune an agent's requests name, swapped into the engine by distance."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

from scalesim.deployments.engine.payloads.interfaces import PayloadEngine
from scalesim.deployments.engine.payloads.model_weights import ModelWeights
from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange
from scalesim.deployments.engine.payloads.shared_payload import SharedPayload
from scalesim.vocabulary import MODEL, Budgets, Tier


def build(engine: PayloadEngine) -> ModelPayload | None:
    """Return the payload of an engine's models; None where it serves its own only."""
    return ModelPayload(engine.weights) if engine.weights is not None else None


class ModelPayload(SharedPayload):
    """Reads models to host memory before their agents ask, and swaps while no request waits.

    Args:
        weights: The engine's.
    """

    kind = MODEL
    _coldest = Tier.STORAGE

    def __init__(self, weights: ModelWeights) -> None:
        super().__init__(weights.model_bytes, stored=True)
        self._weights = weights
        weights.distance = self._distance
        self._wanted: dict[str, Tier] = {}
        self._begun: set[str] = set()
        self._planned: str | None = None
        self._resident: str | None = None
        self._where: frozenset[tuple[Tier, str | None]] = frozenset()

    def budgets(self) -> Budgets:
        """Return one model's bytes on the device, and those of the others below it."""
        weights = self._weights
        return Budgets(
            weights.model_bytes, weights.places * weights.model_bytes, weights.storage_bytes
        )

    def prefetch(self, key: int, tier: Tier) -> MoveOutcome:
        """Want an agent's model in a tier; `settle` brings the nearest of those wanted first."""
        model = self._item.get(key)
        if model is None:
            return self._counters.refuse()
        if self._is_in(model, tier):
            return MoveOutcome.DONE
        self._wanted[model] = max(tier, self._wanted.get(model, tier))
        return MoveOutcome.STARTED

    def demote(self, key: int, tier: Tier) -> MoveOutcome:
        """Give up an agent's model unless another agent uses it.

        The engine is never without weights: on the device it stays until another takes its place.
        """
        model = self._item.get(key)
        if model is None or model in self._in_use:
            return self._counters.refuse()
        if self._agents[model] == {key}:
            self._forget(model)
            if tier is not Tier.HOST:
                self._weights.leave(model)
        return MoveOutcome.DONE

    def settle(self) -> bool:
        """Bring what is wanted where it can be brought now, and learn what changed.

        While requests wait for weights, reader and room are theirs: what was brought ahead then
        would give way to the next of them.
        """
        waited_for = self._weights.settle()
        self._counters.reads.settle(self._weights.reading is not None)
        for model in () if waited_for else sorted(self._wanted, key=self._distance):
            if self._bring(model, self._wanted[model]) is not MoveOutcome.BUSY:
                self._forget(model)
        before, self._resident = self._resident, self._weights.resident
        super().settle()
        if before is not None and before != self._resident:
            planned = self._resident == self._planned is not None
            self._counters.evicted(self._distance(before), planned=planned)
        self._planned = None
        return waited_for or self._weights.reading is not None

    def _bring(self, model: str, tier: Tier) -> MoveOutcome:
        """Take the next step of a model's way; BUSY until it is there."""
        if self._is_in(model, tier):
            return MoveOutcome.DONE
        if model not in self._weights.held:
            return self._read(model)
        resident = self._weights.resident
        if self._distance(model) >= (inf if resident is None else self._distance(resident)):
            return MoveOutcome.DONE
        if not self._weights.swap(model):
            return MoveOutcome.BUSY
        self._counters.loads.note(self._size_bytes, self._weights.swapped_s)
        self._issue(model)
        self._planned = model
        return MoveOutcome.DONE

    def _read(self, model: str) -> MoveOutcome:
        if model == self._weights.reading:
            return MoveOutcome.BUSY
        if model in self._begun:  # and it is neither here nor on its way: the read failed
            return self._counters.refuse()
        outcome = self._weights.fetch(model, self._distance(model))
        if outcome is MoveOutcome.STARTED:
            self._begun.add(model)
            self._counters.reads.begin(self._size_bytes)
            self._issue(model)
        return self._counters.refuse() if outcome is MoveOutcome.REFUSED else MoveOutcome.BUSY

    def _forget(self, model: str) -> None:
        self._wanted.pop(model, None)
        self._begun.discard(model)

    def _is_in(self, model: str, tier: Tier) -> bool:
        weights = self._weights
        return model == weights.resident or (tier is not Tier.DEVICE and model in weights.held)

    def _need_changes(self) -> NeedChange:
        return self._weights.need_changes()

    def _moved(self) -> Iterable[str]:
        """Compare the few that are not in storage alone."""
        weights, before = self._weights, self._where
        held = ((Tier.HOST, model) for model in weights.held)
        reading, resident = (Tier.STORAGE, weights.reading), (Tier.DEVICE, weights.resident)
        self._where = frozenset((*held, reading, resident))
        return {model for _, model in before ^ self._where if model is not None}

    def _on_device(self) -> Collection[str]:
        resident = self._weights.resident
        return () if resident is None else (resident,)

    def _in_host(self) -> Collection[str]:
        return self._weights.held

    def _kept(self) -> Collection[str]:
        weights = self._weights
        around = (*weights.held, weights.resident, weights.reading)
        return {model for model in around if model is not None}

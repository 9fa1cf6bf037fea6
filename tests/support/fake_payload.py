"""A payload that does what it is asked and writes it down."""

from collections.abc import Iterable
from math import inf

import numpy as np

from scalesim.deployments.engine.messages import TransferStats
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.vocabulary import Budgets, Residency, Tier


class FakePayload:
    kind = "fake"

    def __init__(self) -> None:
        self.outcome = MoveOutcome.DONE
        self.calls: list[tuple] = []
        self.rows: Residency | None = None
        self.in_flight = False
        self.near: dict[int, float] = {}

    def budgets(self) -> Budgets:
        return Budgets(10, 20, 30)

    def push(self, keys: Iterable[int], distances: Iterable[float]) -> None:
        pushed = dict(zip(keys, distances, strict=True))
        self.calls.append(("push", pushed))
        self.near |= pushed

    def distance(self, key: int) -> float:
        return self.near.get(key, inf)

    def prefetch(self, key: int, tier: Tier) -> MoveOutcome:
        self.calls.append(("prefetch", key, tier))
        return self.outcome

    def demote(self, key: int, tier: Tier) -> MoveOutcome:
        self.calls.append(("demote", key, tier))
        return self.outcome

    def drop(self, key: int) -> MoveOutcome:
        self.calls.append(("drop", key))
        return self.outcome

    def pin(self, key: int) -> None:
        self.calls.append(("pin", key))

    def unpin(self, key: int) -> None:
        self.calls.append(("unpin", key))

    def settle(self) -> bool:
        return self.in_flight

    def changed(self) -> Residency | None:
        rows, self.rows = self.rows, None
        return rows

    def touch_all(self) -> None:
        self.calls.append(("touch_all",))
        column = np.zeros(1, np.int64)
        self.rows = Residency("fake", column, column, column, column, column, np.zeros(1, np.bool_))

    def transfer(self) -> TransferStats:
        return TransferStats("fake")

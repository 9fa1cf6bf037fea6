"""Agents whose requests name items that they share, over a pretended engine."""

from __future__ import annotations

from abc import ABC, abstractmethod

from scalesim.deployments.engine.payloads.moves import NeedChange, RequestNeed
from scalesim.deployments.engine.payloads.shared_payload import SharedPayload


class Waiting(list[RequestNeed]):
    """The requests that wait in a pretended engine."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[RequestNeed] = []

    def changes(self) -> NeedChange:
        """Return who came and who went since the last call."""
        seen, self._seen = self._seen, list(self)
        came = [use for use in self if use not in seen]
        return NeedChange(came, [use for use in seen if use not in self])


class Sharing(ABC):
    """A payload of the kind under test, and the requests its pretended engine shows it."""

    def __init__(self, payload: SharedPayload, waiting: Waiting) -> None:
        self._payload = payload
        self._waiting = waiting
        self._requests = 0

    def queue(self, key: int, item: str) -> None:
        self._requests += 1
        self._waiting.append(RequestNeed(f"r{self._requests}", key, item))
        self._payload.settle()

    def ask(self, key: int, item: str) -> None:
        self.queue(key, item)
        self.serve()

    @abstractmethod
    def serve(self) -> None:
        """The engine runs what waits."""

    def rows(self) -> dict[int, tuple[int, ...]]:
        self._payload.settle()
        self._payload.touch_all()
        found: dict[int, tuple[int, ...]] = {}
        while (rows := self._payload.changed()) is not None:  # a share at a time
            columns = (column.tolist() for column in rows[1:])
            found |= {key: tuple(row) for key, *row in zip(*columns, strict=True)}
        return found

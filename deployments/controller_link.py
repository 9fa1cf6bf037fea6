"""A replica's link to the controller: directives down to the engine, residency up.

Both directions are their own loops, so neither waits behind inference; each survives any fault of
the other end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from scalesim.controller.api import ReplicaCalls
from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.deployments.engine.channel import GatherUntil
from scalesim.deployments.engine.messages import Hello, Message
from scalesim.deployments.merged_updates import merged
from scalesim.errors import StaleControllerError
from scalesim.vocabulary import (
    PREFIX,
    Budgets,
    Directives,
    ReplicaInfo,
    TransferStats,
)

logger = logging.getLogger(__name__)

_DETACH_S = 2.0
"""Longest a leaving replica waits to say so; its lease ends anyway."""


GATHER_S = 0.01
"""How long messages of an engine wait for more: one request makes four, and a call to the
controller takes a processor a millisecond. A busy controller says how much longer to wait, but for
what an order is due for at once."""

URGENT_SHARE = 0.1
"""Share of the time between two updates after which an urgent one may go: a replica whose memory is
too small for a single step has something urgent to report in every pass."""


class Channel(Protocol):
    """The replica's end of the socket to its engine."""

    async def send(self, message: Message) -> None:
        """Send one message to the engine."""

    async def gather(
        self, wait: GatherUntil, is_urgent: Callable[[Message], bool]
    ) -> list[Message]:
        """Return the engine's next message and those that came soon after; see `ReplicaEnd`."""


class Link:
    """Keeps one replica attached, from construction to `stop`. Make it in a running event loop.

    Args:
        name: Unique name of the replica.
        controller: The controller.
        channel: The engine's channel.
        hello: What the engine said when it opened.
        reserve_share: Share of the prefixes' device and host tiers left to running requests.
        metrics: Where the replica itself can be scraped, for the controller's status.

    Attributes:
        loops: Both directions.
        heard: Messages the engine has sent.
        resyncs: Times the engine was made to report everything.
    """

    def __init__(
        self,
        name: str,
        controller: ReplicaCalls,
        channel: Channel,
        hello: Hello,
        reserve_share: float,
        metrics: str = "",
    ) -> None:
        self._name = name
        self._controller = controller
        self._channel = channel
        self._info = replica_info(name, hello, reserve_share)._replace(metrics=metrics)
        self._incarnation = 0
        self._wait = GatherUntil(GATHER_S)
        self._evicted_near: dict[str, int] = {}
        self._attached = asyncio.Event()
        self._down = BackgroundLoop("directives", self._obey)
        self._up = BackgroundLoop("residency", self._forward)
        self.loops = (self._down, self._up)
        self.heard = self.resyncs = 0

    async def attached(self, within_s: float) -> None:
        """Wait until a controller knows this replica, or so long.

        Requests that came before would all go to replicas that it knows.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._attached.wait(), within_s)

    async def stop(self) -> None:
        """Detach and end both loops."""
        for loop in self.loops:
            await loop.stop()
        try:
            await asyncio.wait_for(self._controller.detach(self._name), _DETACH_S)
        except Exception:
            logger.warning(
                "the controller does not know that %s leaves; its lease will end", self._name
            )

    async def _obey(self) -> None:
        """Attach, make the engine report everything, then obey until the controller changes."""
        info = self._info._replace(seen_incarnation=self._incarnation)
        incarnation = await self._controller.attach(info)
        self._fence(incarnation)
        self._attached.set()
        await self._channel.send(Directives(incarnation, 0, resync=True))
        self.resyncs += 1
        acked = 0
        while True:
            poll = self._controller.poll(self._name, incarnation, acked)
            directives = await self._down.until(poll)
            if directives is None:
                continue
            self._fence(directives.incarnation)
            if directives.resync:
                return
            if directives.sequence > acked:
                await self._channel.send(directives)
                acked = directives.sequence

    async def _forward(self) -> None:
        """Send on what the engine says next; what is lost comes again with a resync."""
        messages = await self._up.until(self._channel.gather(self._wait, self._is_urgent))
        self.heard += len(messages)
        update = merged(messages)
        if self._incarnation and update:
            interval_s = await self._controller.update(self._name, self._incarnation, update)
            now = time.monotonic()
            self._wait = GatherUntil(GATHER_S, now + interval_s, now + interval_s * URGENT_SHARE)

    def _is_urgent(self, message: Message) -> bool:
        """Return whether somebody who acts soon was evicted, by the engine's own counter."""
        if not isinstance(message, TransferStats):
            return False
        before = self._evicted_near.get(message.kind, 0)
        self._evicted_near[message.kind] = message.evicted_near
        return message.evicted_near > before

    def _fence(self, incarnation: int) -> None:
        if incarnation < self._incarnation:
            raise StaleControllerError(
                f"controller {incarnation} is older than {self._incarnation}, already obeyed: "
                "refused; end the older controller"
            )
        self._incarnation = incarnation


def replica_info(name: str, hello: Hello, reserve_share: float) -> ReplicaInfo:
    """Return what a replica attaches with.

    Args:
        name: Unique name of the replica.
        hello: What its engine said when it opened.
        reserve_share: Share of the prefixes' device and host tiers left to running requests.
    """
    budgets = tuple(
        one._replace(
            device_bytes=int(one.device_bytes * (1.0 - reserve_share)),
            host_bytes=int(one.host_bytes * (1.0 - reserve_share)),
        )
        if kind == PREFIX
        else one
        for kind, one in zip(hello.kinds, hello.budgets, strict=True)
    )
    total = Budgets(*(sum(column) for column in zip(*budgets, strict=True)))
    return ReplicaInfo(name, total, hello.kinds, kind_budgets=budgets)

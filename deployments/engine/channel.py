"""The socket between a replica and its scheduler process: one pair, in a private folder.

The scheduler's side never blocks: what cannot be sent now stays changed and is sent later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import zmq
import zmq.asyncio

from scalesim.deployments.engine.messages import Message, decode, encode

_HIGH_WATER = 1000
"""Frames queued each way before a sender has to wait."""


class GatherUntil(NamedTuple):
    """How long messages are gathered.

    Attributes:
        within_s: Seconds after one in which others are waited for in any case.
        until: Monotonic time until which others are waited for.
        urgent_until: The same, once one of them is urgent.
    """

    within_s: float
    until: float = 0.0
    urgent_until: float = 0.0


class SchedulerEnd:
    """The end inside the scheduler process, polled between forward passes.

    Args:
        address: `ipc://` address the replica bound.
    """

    def __init__(self, address: str) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.set_hwm(_HIGH_WATER)
        self.socket.connect(address)

    def receive(self) -> list[bytes]:
        """Return all frames waiting, without blocking."""
        frames = []
        while self.socket.poll(0, zmq.POLLIN):
            frames.append(self.socket.recv(zmq.NOBLOCK))
        return frames

    def send(self, message: Message) -> bool:
        """Return whether the message was taken; False when the replica does not keep up."""
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


class ReplicaEnd:
    """The end inside the replica, awaited on its event loop. Binds `address`."""

    def __init__(self, address: str) -> None:
        self._socket = zmq.asyncio.Context.instance().socket(zmq.PAIR)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.set_hwm(_HIGH_WATER)
        self._socket.bind(address)

    async def receive(self) -> Message:
        """Return the next message."""
        return decode(await self._socket.recv())

    async def gather(
        self, wait: GatherUntil, is_urgent: Callable[[Message], bool]
    ) -> list[Message]:
        """Return the next message and those that came soon after it, in order.

        Args:
            wait: How long others are waited for.
            is_urgent: Says so of a message.
        """
        until = wait.until
        messages: list[Message] = []
        left_ms: float | None = None
        # What a wait that is cut off had received would be lost: only polls have an end.
        while await self._socket.poll(left_ms):
            await asyncio.sleep(wait.within_s)
            came = [decode(frame) for frame in await self._waiting()]
            messages += came
            if any([is_urgent(each) for each in came]):
                until = min(until, wait.urgent_until)
            left_ms = (until - time.monotonic()) * 1e3
            if left_ms <= 0:
                break
        return messages

    async def _waiting(self) -> list[bytes]:
        frames = []
        with suppress(zmq.Again):
            while True:
                frames.append(await self._socket.recv(zmq.NOBLOCK))
        return frames

    async def send(self, message: Message) -> None:
        """Send one message, waiting while the scheduler's queue is full."""
        await self._socket.send(encode(message))

    def close(self) -> None:
        """Close the socket; frames not yet read are lost with the engine."""
        self._socket.close(0)

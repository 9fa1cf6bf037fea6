"""The socket between a replica and its scheduler process: one pair, in a private folder.

The scheduler's side never blocks: what cannot be sent now stays changed and is sent later.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import zmq
import zmq.asyncio

from scalesim.deployments.engine.messages import Message, decode, encode

_HIGH_WATER = 1000
"""Frames queued each way before a sender has to wait."""


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

    async def gather(self, within_s: float, until: float = 0.0) -> list[Message]:
        """Return the next message and those that came soon after it, in order.

        Args:
            within_s: Seconds after it in which others are waited for.
            until: Monotonic time until which others are waited for in any case.
        """
        frames = [await self._socket.recv()]
        await asyncio.sleep(max(within_s, until - time.monotonic()))
        with suppress(zmq.Again):
            while True:
                frames.append(await self._socket.recv(zmq.NOBLOCK))
        return [decode(frame) for frame in frames]

    async def send(self, message: Message) -> None:
        """Send one message, waiting while the scheduler's queue is full."""
        await self._socket.send(encode(message))

    def close(self) -> None:
        """Close the socket; frames not yet read are lost with the engine."""
        self._socket.close(0)

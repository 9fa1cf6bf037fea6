"""One engine on one GPU, as a Ray Serve deployment."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any

from ray import serve

from deployments.calls import Call, Piece
from deployments.link import Link
from scalesim.errors import EngineMismatchError, ReplicaUnavailableError
from scalesim.settings import ENGINE_CHANNEL, StackSettings

HELLO_TIMEOUT_S = 30.0
"""The engine says hello before its constructor returns; this bounds a lost frame."""

PROBE_TIMEOUT_S = 20.0
"""Longest the engine may stay silent while asked: longer than any single forward pass."""


@serve.deployment
class Replica:
    """Answers calls and keeps its engine in touch with the controller.

    Args:
        settings: The whole stack's settings.
    """

    async def __init__(self, settings: StackSettings) -> None:  # type: ignore[misc]
        self._name: str = serve.get_replica_context().replica_id.unique_id
        self._link: Link | None = None
        self._channel: Any = None
        self._folder = tempfile.mkdtemp(prefix="scalesim-")
        if settings.engine.arm == "scalesim":
            from deployments.engine.channel import ReplicaEnd

            address = f"ipc://{self._folder}/engine"
            self._channel = ReplicaEnd(address)
            os.environ[ENGINE_CHANNEL] = address
        from deployments.engine.launch import launch

        self._engine = launch(settings.engine)
        from deployments.engine.openai import OpenAIEndpoints

        self._endpoints = OpenAIEndpoints(self._engine, self._name)
        if self._channel is not None:
            await self._attach(settings)

    async def _attach(self, settings: StackSettings) -> None:
        from controller.actor import connect
        from deployments.engine.messages import Hello
        from deployments.remote import RemoteController

        try:
            hello = await asyncio.wait_for(self._channel.receive(), HELLO_TIMEOUT_S)
        except TimeoutError:
            raise EngineMismatchError(
                "the engine started without saying hello: expected our plugin in its scheduler; "
                "install scalesim-serve in the engine's environment"
            ) from None
        assert isinstance(hello, Hello)
        controller = RemoteController(connect(settings.controller), settings.controller)
        self._link = Link(
            self._name, controller, self._channel, hello, settings.engine.reserve_share
        )

    async def generate(self, call: Call) -> AsyncIterator[Piece]:
        """Yield the answer in pieces; see `OpenAIEndpoints.answer`."""
        async for piece in self._endpoints.answer(call):
            yield piece

    async def check_health(self) -> None:
        """Ask the engine for a token; called by Serve.

        Raises:
            ReplicaUnavailableError: The engine did not answer in time; Serve replaces the replica.
        """
        from deployments.engine.probe import probe

        started = time.monotonic()
        if not await probe(self._engine, PROBE_TIMEOUT_S):
            raise ReplicaUnavailableError(
                f"engine of {self._name} was silent for {time.monotonic() - started:.0f} s: "
                "the replica is replaced"
            )

    async def __del__(self) -> None:
        if self._link is not None:
            await self._link.stop()
        if self._channel is not None:
            self._channel.close()
        engine = getattr(self, "_engine", None)
        if engine is not None:
            engine.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

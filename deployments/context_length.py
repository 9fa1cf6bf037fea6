"""How long a prompt with its answer may be, as the replicas tell it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from grpc.aio import AioRpcError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

_PATIENCE_S = 5.0
"""Longest a list of models waits for it; an engine that starts does not answer."""

_logger = logging.getLogger(__name__)


class ContextLength:
    """Asks a replica once: all have the same model, settings and cards.

    Args:
        replicas: Handle of the `Replica` deployment.
    """

    def __init__(self, replicas: Any) -> None:
        self._ask = replicas.context_length
        self._tokens: int | None = None

    async def known(self) -> int | None:
        """Return tokens of a prompt with its answer, or None where no replica answers."""
        if self._tokens is None:
            asked = self._ask.remote()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    self._tokens = await asked
            except (RayError, RayServeException, AioRpcError, RuntimeError, TimeoutError) as error:
                asked.cancel()
                _logger.warning("No replica reported its context length: %s", error)
        return self._tokens

"""The OpenAI SDK (1.x to 3.x, sync and async), and every framework built on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from scalesim.caller import current_headers

_MARK = "_scalesim_instrumented"


def instrument_openai() -> Callable[[], None]:
    """Make every OpenAI client of this process send the identity of `scalesim.agent`.

    Idempotent, and cheap to repeat. Headers the caller sets win. Outside of an agent context
    requests are left as they are.

    Returns:
        A function that takes the hook out again.

    Raises:
        ImportError: The openai package is not installed.
    """
    from openai._base_client import AsyncAPIClient, SyncAPIClient

    if not hasattr(SyncAPIClient, _MARK):
        sync_original = SyncAPIClient._prepare_options
        async_original = AsyncAPIClient._prepare_options

        @functools.wraps(sync_original)
        def prepare(self: Any, options: Any) -> Any:
            return _identified(sync_original(self, options))

        @functools.wraps(async_original)
        async def prepare_async(self: Any, options: Any) -> Any:
            return _identified(await async_original(self, options))

        setattr(SyncAPIClient, _MARK, (sync_original, async_original))
        SyncAPIClient._prepare_options = prepare  # type: ignore[method-assign]
        AsyncAPIClient._prepare_options = prepare_async  # type: ignore[method-assign]
    return _restore


def _restore() -> None:
    from openai._base_client import AsyncAPIClient, SyncAPIClient

    originals = getattr(SyncAPIClient, _MARK, None)
    if originals is not None:
        SyncAPIClient._prepare_options, AsyncAPIClient._prepare_options = originals  # type: ignore[method-assign]
        delattr(SyncAPIClient, _MARK)


def _identified(options: Any) -> Any:
    identity = current_headers()
    if not identity:
        return options
    given = options.headers if isinstance(options.headers, Mapping) else {}
    options.headers = {**identity, **given}  # the SDK's own copy, of this try
    return options

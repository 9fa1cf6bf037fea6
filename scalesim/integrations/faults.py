"""A fault of ours never reaches the user's program: it is logged once and switched off."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

_logger = logging.getLogger("scalesim")


def harmless(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function: where it fails it answers None, and it is not called again after that."""
    failed = False
    inner = function.func if isinstance(function, functools.partial) else function
    name = f"{inner.__module__}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        nonlocal failed
        if failed:
            return None
        try:
            return function(*args, **kwargs)
        except Exception:
            failed = True
            _logger.warning(
                "%s failed and is off from now on; the program goes on without it",
                name,
                exc_info=True,
            )
            return None

    return guarded

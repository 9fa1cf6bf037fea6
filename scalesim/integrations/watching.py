"""Notices a library's own calls: before them with their arguments, after them with their result."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from scalesim.integrations.faults import harmless

Notice = Callable[..., Any]


def before(owner: Any, name: str, notice: Notice) -> None:
    """Call `notice(*args, **kwargs)` before each call of a method or coroutine.

    Raises:
        AttributeError: There is no such method: the library is not the one that was expected.
    """
    original, guarded = getattr(owner, name), harmless(notice)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def watched_async(*args: Any, **kwargs: Any) -> Any:
            guarded(*args, **kwargs)
            return await original(*args, **kwargs)

        setattr(owner, name, watched_async)
        return

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        guarded(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, watched)


def after(owner: Any, name: str, notice: Notice) -> None:
    """Call `notice(result, *args, **kwargs)` after each call of a function or coroutine.

    Raises:
        AttributeError: There is no such method: the library is not the one that was expected.
    """
    original, guarded = getattr(owner, name), harmless(notice)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def watched_async(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            guarded(result, *args, **kwargs)
            return result

        setattr(owner, name, watched_async)
        return

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        guarded(result, *args, **kwargs)
        return result

    setattr(owner, name, watched)

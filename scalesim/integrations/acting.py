"""Runs a library's own functions as the agent that they act for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from scalesim.caller import CallerIdentity, caller
from scalesim.integrations.faults import harmless

Who = Callable[..., Any]
"""Given a call's arguments, names the agent it acts for; None leaves it to who acts already."""


def run_as(
    identity: CallerIdentity | None, function: Callable[..., Any], /, *args: Any, **kw: Any
) -> Any:
    """Return what `function` does when it acts for an agent, or for none."""
    token = caller.set(identity)
    try:
        return function(*args, **kw)
    finally:
        caller.reset(token)


@contextmanager
def acting(identity: CallerIdentity | None) -> Iterator[None]:
    """Act for an agent inside; None changes nothing."""
    if identity is None:
        yield
        return
    token = caller.set(identity)
    try:
        yield
    finally:
        caller.reset(token)


def act_for(owner: Any, name: str, who: Who) -> None:
    """Patch a class's method to act for an agent; works for functions, coroutines and generators.

    Args:
        owner: Class or module; its attribute is replaced, once.
        name: Name of the method.
        who: Called with each call's arguments; a fault in it is logged once and switches it off.

    Raises:
        AttributeError: There is no such method: the library is not the one that was expected.
    """
    original = getattr(owner, name)
    if hasattr(original, "__scalesim__"):
        return
    identity = harmless(lambda *args, **kwargs: _identity(who(*args, **kwargs)))
    wrapper = functools.wraps(original)(_wrapped(original, identity))
    wrapper.__scalesim__ = True  # type: ignore[attr-defined]
    setattr(owner, name, wrapper)


def _identity(agent: Any) -> CallerIdentity | None:
    from scalesim.integrations.current_run import identity

    return None if agent is None else identity(agent)


def _wrapped(original: Callable[..., Any], identity: Who) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(original):

        async def generate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            pieces = original(*args, **kwargs)
            who, resume = identity(*args, **kwargs), partial(pieces.asend, None)
            try:
                while True:
                    with acting(who):
                        piece = await resume()
                    try:
                        resume = partial(pieces.asend, (yield piece))
                    except Exception as error:  # thrown into it: the function's own to handle
                        resume = partial(pieces.athrow, error)
            except StopAsyncIteration:
                return
            finally:
                await pieces.aclose()

        return generate_async
    if inspect.isgeneratorfunction(original):

        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            pieces = original(*args, **kwargs)
            who, resume = identity(*args, **kwargs), partial(pieces.send, None)
            try:
                while True:
                    with acting(who):
                        piece = resume()
                    try:
                        resume = partial(pieces.send, (yield piece))
                    except Exception as error:  # thrown into it: the function's own to handle
                        resume = partial(pieces.throw, error)
            except StopIteration as end:
                return end.value
            finally:
                pieces.close()

        return generate
    if inspect.iscoroutinefunction(original):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with acting(identity(*args, **kwargs)):
                return await original(*args, **kwargs)

        return call_async

    def call(*args: Any, **kwargs: Any) -> Any:
        with acting(identity(*args, **kwargs)):
            return original(*args, **kwargs)

    return call

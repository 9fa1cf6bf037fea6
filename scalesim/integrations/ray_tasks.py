"""Ray: a task acts for the agent that called it, in whatever process it runs.

As Ray's own tracing does, a function takes one more argument by name, and a call gives it. Actors
and generators are left alone: an actor serves many, and names its agents by itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from scalesim.caller import caller
from scalesim.integrations.faults import harmless

_WHO = "_scalesim_caller"

_CARRIES = "__scalesim__"
"""Attribute of functions that take the argument."""


def install(module: ModuleType) -> None:
    """Carry identities into the tasks of functions that become remote from now on."""
    kind = module.RemoteFunction
    original_init, original_remote = kind.__init__, kind._remote
    if hasattr(original_init, _CARRIES):
        return
    carrying, called_by = harmless(_carrying), harmless(_called_by)

    @functools.wraps(original_init)
    def init(self: Any, language: Any, function: Any, *args: Any, **kwargs: Any) -> None:
        original_init(self, language, carrying(function) or function, *args, **kwargs)

    @functools.wraps(original_remote)
    def remote(self: Any, args: Any = None, kwargs: Any = None, **more: Any) -> Any:
        return original_remote(self, args, called_by(self, kwargs) or kwargs, **more)

    setattr(init, _CARRIES, True)
    kind.__init__, kind._remote = init, remote


def _called_by(remote_function: Any, kwargs: Any) -> dict[str, Any] | None:
    who = caller.get()
    if who is None or not hasattr(remote_function._function, _CARRIES):
        return None
    return {**(kwargs or {}), _WHO: tuple(who)}


def _carrying(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return a function that acts for whom it is called by; None for a generator.

    It travels by value, and where this package is not installed it calls what it was made of.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return None
    signature = inspect.signature(function)

    def carrying(*args: Any, _scalesim_caller: Any = None, **kwargs: Any) -> Any:
        if _scalesim_caller is None:
            return function(*args, **kwargs)
        try:
            from scalesim.caller import CallerIdentity
            from scalesim.integrations.acting import run_as
            from scalesim.integrations.registry import install_all
        except ImportError:
            return function(*args, **kwargs)
        install_all()
        return run_as(CallerIdentity(*_scalesim_caller), function, *args, **kwargs)

    functools.update_wrapper(carrying, function)
    # Where the signature is lost on the way, that of the function must not be found in its place.
    delattr(carrying, "__wrapped__")
    vars(carrying)["__signature__"] = _with_caller(signature)
    setattr(carrying, _CARRIES, True)
    return carrying


def _with_caller(signature: inspect.Signature) -> inspect.Signature:
    more = inspect.Parameter(_WHO, inspect.Parameter.KEYWORD_ONLY, default=None)
    given = list(signature.parameters.values())
    place = len(given) - (bool(given) and given[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return signature.replace(parameters=[*given[:place], more, *given[place:]])

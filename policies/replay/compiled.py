"""Machine code where numba is installed, the same Python where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

try:
    from numba import njit
except ImportError:  # the replay then runs a hundred times slower, with the same results
    njit = None


def compiled(function: F) -> F:
    """Compile a loop over arrays; the result is cached beside the source file."""
    return cast(F, njit(cache=True)(function)) if njit else function

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
    """Compile a loop over arrays; the result is cached beside the source file.

    The cache does not see changes of a function called in another file: delete `__pycache__` after
    editing one.
    """
    return cast(F, njit(cache=True)(function)) if njit else function

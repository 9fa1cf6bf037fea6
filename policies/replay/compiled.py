"""Machine code where numba is installed, the same Python where it is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class CompiledLoop:
    """A loop over arrays that numba is imported for when it is first called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._python = function

    def __call__(self, *arguments: Any) -> Any:
        """Run the loop."""
        return self._machine(*arguments)

    @cached_property
    def _machine(self) -> Any:
        try:
            from numba import njit
        except ImportError:  # a hundred times slower, with the same results
            return self._python
        try:
            return njit(cache=True)(self._python)
        except RuntimeError:  # nowhere to write, as for a container's user without a home
            return njit(self._python)

    @property
    def _numba_type_(self) -> Any:
        """Type that numba asks for where one compiled loop calls another."""
        return self._machine._numba_type_


def compiled(function: F) -> F:
    """Compile a loop over arrays with numba; the result is cached where one may write.

    That is the source's folder, else one of the user's. The cache does not see changes of a
    function called in another file: delete `__pycache__` after editing one.
    """
    return cast(F, CompiledLoop(function))

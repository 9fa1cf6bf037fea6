"""Versions of others' packages that this one is written for, as its own metadata pins them."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import requires


@cache
def pinned(package: str) -> str:
    """Return the one version of a package that `pyproject.toml` allows.

    Raises:
        LookupError: It pins none.
    """
    name = re.compile(rf"{re.escape(package)}(?:\[[^]]*\])? ?==([^ ;]+)")
    for requirement in requires("scalesim-serve") or ():
        if found := name.match(requirement):
            return found[1]
    raise LookupError(f"pyproject.toml pins no version of {package}")

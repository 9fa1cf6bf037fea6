"""The result of one check of `scalesim doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Check(NamedTuple):
    """What one check found.

    Attributes:
        name: What.
        ok: Whether it is as the stack needs it.
        found: What was found.
        advice: What to do where it is not.
        figures: What was found in numbers, for programs.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    figures: Mapping[str, float] = {}

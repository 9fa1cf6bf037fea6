"""What one look of `scalesim doctor` found."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One thing looked at.

    Attributes:
        name: What.
        ok: Whether it is as the stack needs it.
        found: What was found.
        advice: What to do where it is not.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""

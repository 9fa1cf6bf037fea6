"""Modes of the engine, from the checks themselves."""

from __future__ import annotations

from scalesim.deployments.engine.modes import MODES

_HEAD = """# Modes of the engine
What is refused is refused before an engine starts, whether a setting or `engine.extra_args` turned
it on.
Written by `make generated` from the checks themselves; names in SGLang's words.

| mode | turned on by | |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(
        f"| {mode.name} | {mode.turned_on} | "
        + (f"works; {mode.note}" if mode.refusal is None else f"refused: {mode.refusal}")
        + " |\n"
        for mode in MODES
    )

"""Checks of a client library against a running stack, without anything but that library.

They run twice: as tests with the library of this environment, and by `python -m tests.clients` with
others, each in an environment of its own that has neither this package nor pytest.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

MOOD = {
    "type": "object",
    "properties": {"mood": {"enum": ["calm", "angry"]}, "awake": {"type": "boolean"}},
    "required": ["mood", "awake"],
    "additionalProperties": False,
}
"""A schema that a random model ends by itself."""

ClientCheck = Callable[[Any], None]


def is_mood(text: str) -> bool:
    return bool(json.loads(text)["mood"] in MOOD["properties"]["mood"]["enum"])


class Refused:
    """A block that must raise one of the library's errors; says which field it named."""

    def __init__(self, kind: type[Exception], *words: str) -> None:
        self._kind, self._words = kind, words

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        assert kind is not None, f"nothing was refused, {self._words} was to be"
        if not issubclass(kind, self._kind):
            return False
        # Which of it is in the text of the error is another with each version of a library.
        said = f"{error} {getattr(error, 'code', '')} {getattr(error, 'body', '')}"
        for word in self._words:
            assert word in said, f"{word!r} is not in {said}"
        return True


def main(checks: list[ClientCheck], connect: Callable[[str, str], Any]) -> None:
    """Run checks against `BASE_URL KEY` of the command line; print a JSON object, name to fault."""
    client = connect(sys.argv[1], sys.argv[2])
    faults: dict[str, str] = {}
    for check in checks:
        faults[check.__name__] = ""
        try:
            check(client)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next((at.lineno for at in where if at.name == check.__name__), 0)
            faults[check.__name__] = f"line {line}: {type(error).__name__}: {error}"[:500]
    print(json.dumps(faults))

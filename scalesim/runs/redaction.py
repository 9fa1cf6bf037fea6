"""Takes secrets out of a command line before it is kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

HIDDEN = "***"

_NAMES = r"[\w.-]*(?:keys?|token|secrets?|passw(?:or)?ds?|credentials?|auth|authorization)"
"""Names of options whose values are secrets; `max_tokens` is not one of them."""
_OPTION = re.compile(rf"--?{_NAMES}", re.IGNORECASE)
_ASSIGNED = re.compile(rf"((?:--?)?{_NAMES}[=:]).+", re.IGNORECASE | re.DOTALL)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_ISSUED = re.compile(r"\b(?:sk|pk|hf|gh[oprsu]|github_pat|xox[bp]|AKIA)[-_]?[A-Za-z0-9_-]{12,}")
"""How keys of common services begin."""
_BEARER = re.compile(r"(?<=bearer )\S+", re.IGNORECASE)


_WITHIN_WORDS = 8
"""Shorter ones (`none`, `EMPTY`) are part of words for other reasons."""


def redacted(command: Sequence[str], secrets: Collection[str] = ()) -> list[str]:
    """Return a command line with `***` for all that is or may be a secret.

    Hidden are values of options and variables with a secret's name (`--api-key K`, `TOKEN=K`),
    passwords in URLs, what follows `Bearer`, and what begins as keys of common services do.

    Args:
        command: Program with its arguments.
        secrets: Texts that are hidden too: within words where they have eight characters or more.
    """
    return list(_redacted(command, sorted(filter(None, secrets), key=len, reverse=True)))


def _redacted(command: Sequence[str], secrets: Sequence[str]) -> Iterator[str]:
    after_name = False
    for word in command:
        if after_name and not word.startswith("-"):
            after_name = False
            yield HIDDEN
            continue
        after_name = _OPTION.fullmatch(word) is not None
        for secret in secrets:
            if word == secret or len(secret) >= _WITHIN_WORDS:
                word = word.replace(secret, HIDDEN)
        word = _ASSIGNED.sub(rf"\1{HIDDEN}", word)
        for pattern in (_IN_URL, _BEARER, _ISSUED):
            word = pattern.sub(HIDDEN, word)
        yield word

"""Names of simulations and agents: validated where they come in, hashed everywhere else.

Inside the stack an agent is one int64, a hash of (simulation, agent id): arrays of keys need no
registry, survive restarts, and no name can poison a cache key, a Redis key or a metric label.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.vocabulary import Keys

MAX_ID_BYTES = 256
"""Longest agent id in UTF-8 bytes: fits a header and leaves no room for a payload."""

_MAX_ID_BITS = 850
"""Bits of an integer with as many digits as an id may have; Python refuses to write out much larger
ones."""

DEFAULT_SIMULATION = "default"

AgentId: TypeAlias = str | int | np.integer[Any] | UUID
"""What names an agent in Python; all but text stands for its decimal or hyphenated form."""

_JOINERS = frozenset("\u200c\u200d") | {chr(tag) for tag in range(0xE0020, 0xE0080)}
"""Format characters that names are spelled with: Persian and Indic scripts, families and flags."""

_NOT_TEXT = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of controls, formats (among them what turns text round), line ends. What is
not assigned is not among them: it may be a name in a Unicode version newer than Python's."""

_SIMULATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

_ADAPTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_simulation(name: object) -> bool:
    """Return whether something can name a simulation."""
    return isinstance(name, str) and _SIMULATION.fullmatch(name) is not None


def check_simulation(name: str, field: str = "simulation") -> str:
    """Return `name` if it can name a simulation.

    Raises:
        InvalidRequestError: Not 1 to 63 letters, digits, `.`, `_` or `-`.
    """
    if not is_simulation(name):
        raise InvalidRequestError(
            f"{field} {_shown(name)} is not a simulation id: use 1 to 63 letters, digits, "
            "'.', '_' or '-', beginning with a letter or digit",
            field,
        )
    return name


def check_adapter(name: str, field: str = "adapter") -> str:
    """Return `name` if it can name an adapter.

    Raises:
        InvalidRequestError: Not 1 to 128 letters, digits, `.`, `_` or `-`.
    """
    if not (isinstance(name, str) and _ADAPTER.fullmatch(name)):
        raise InvalidRequestError(
            f"{field} {_shown(name)} is not an adapter's id: use 1 to 128 letters, digits, '.', "
            "'_' or '-', beginning with a letter or digit",
            field,
        )
    return name


def check_agent(agent: str, field: str = "agent") -> str:
    """Return `agent` if it can name an agent.

    Raises:
        InvalidRequestError: Not text, empty, over 256 bytes, or holding control characters.
    """
    if not isinstance(agent, str) or not agent or not _is_text(agent):
        raise InvalidRequestError(
            f"{field} {_shown(agent)} is not an agent id: use a non-empty string of printable "
            "characters",
            field,
        )
    if len(agent.encode()) > MAX_ID_BYTES:
        raise InvalidRequestError(
            f"{field} {_shown(agent)} is {len(agent.encode())} bytes long: use at most "
            f"{MAX_ID_BYTES} bytes",
            field,
        )
    return agent


def agent_text(agent: AgentId, field: str = "agent") -> str:
    """Return what Python code names an agent by as checked text: 7 is the agent "7".

    Raises:
        InvalidRequestError: Not text, an integer or a UUID; or its text is not valid.
    """
    if isinstance(agent, str):
        return check_agent(agent, field)
    if isinstance(agent, int) and agent.bit_length() > _MAX_ID_BITS:
        raise InvalidRequestError(
            f"{field} is {_shown(agent)}: use at most {MAX_ID_BYTES} digits",
            field,
        )
    if isinstance(agent, int | np.integer | UUID) and not isinstance(agent, bool):
        return check_agent(str(agent), field)
    return check_agent(agent, field)  # type: ignore[arg-type]  # it refuses all but text


def agent_key(simulation: str, agent: str) -> int:
    """Return the int64 key of an agent (both names already checked)."""
    digest = blake2b(agent.encode(), digest_size=8, key=simulation.encode()).digest()
    return int.from_bytes(digest, "little", signed=True)


def agent_keys(simulation: str, agents: Iterable[AgentId], field: str = "agent") -> Keys:
    """Return int64 keys for many agents, checking each id.

    Raises:
        InvalidRequestError: An id is not valid; the message shows it, `field` is where it was.
    """
    keys = (agent_key(simulation, agent_text(agent, field)) for agent in agents)
    return np.fromiter(keys, dtype=np.int64)


def cache_salt(simulation: str) -> str:
    """Return the tenant salt that separates KV caches of different simulations."""
    return blake2b(simulation.encode(), digest_size=12, person=b"scalesim-salt").hexdigest()


def _is_text(value: str) -> bool:
    return value.isprintable() or all(
        char in _JOINERS or unicodedata.category(char) not in _NOT_TEXT for char in value
    )


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _MAX_ID_BITS:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

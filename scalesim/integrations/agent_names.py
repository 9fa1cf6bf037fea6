"""Agents' names as frameworks have them, brought into a form that the stack takes."""

from __future__ import annotations

from hashlib import blake2b

from scalesim.errors import InvalidRequestError
from scalesim.identity import MAX_ID_BYTES, AgentId, agent_text

_KEPT_BYTES = 200
"""Bytes kept of a name that is too long; a hash behind them distinguishes names that begin
alike."""


def agent_name(agent: AgentId) -> str | None:
    """Return an agent's name as checked text, or None for one that is empty.

    Names of frameworks are roles or whole sentences, of several lines or without an end: line ends
    become spaces, and a long one is cut, with a digest of the whole.

    Raises:
        InvalidRequestError: It is neither text nor an integer or a UUID.
    """
    try:
        return agent_text(agent)
    except InvalidRequestError:
        if not isinstance(agent, str):
            raise
    plain = " ".join("".join(char if char.isprintable() else " " for char in agent).split())
    encoded = plain.encode()
    if len(encoded) > MAX_ID_BYTES:
        digest = blake2b(encoded, digest_size=6).hexdigest()
        plain = f"{encoded[:_KEPT_BYTES].decode(errors='ignore').rstrip()} {digest}"
    return plain or None

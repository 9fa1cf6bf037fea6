"""Which weights of a registry an agent's requests get if they name none."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO

import msgspec

from scalesim.errors import InvalidRequestError, UnavailableError
from scalesim.identity import agent_key, check_agent, check_simulation

LOCK_S = 10.0
"""Longest a change waits for others', each of which takes milliseconds."""

_POLL_S = 0.01


class Assignments:
    """Ids by agent, written `SIMULATION/AGENT`, in one file beside the folders that they name.

    Commands may change them while engines read them, and each other's changes are kept.

    Args:
        root: The folder that the file is in.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / ".agents.json"  # no id begins with a dot
        self._stamp: tuple[int, int] | None = None
        self._by_key: dict[int, str] = {}

    def of(self, agent: int) -> str | None:
        """Return the id assigned to an agent, by its key; reads the file again if it was replaced.

        Raises:
            InvalidRequestError: The file cannot be read.
        """
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._by_key = {_key(name): item for name, item in self.all().items()}
            self._stamp = stamp
        return self._by_key.get(agent)

    def all(self) -> dict[str, str]:
        """Return ids by agent.

        Raises:
            InvalidRequestError: The file cannot be read.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidRequestError(
                f"{self._file} cannot be read as ids by agent ({error}): mend or delete it", "model"
            ) from error

    def check(self, agents: Collection[str]) -> None:
        """Return if agents can be assigned something.

        Raises:
            InvalidRequestError: One is not written so, or the file cannot be read.
        """
        self.all()
        for agent in agents:
            _key(agent)

    def assign(self, item: str, agents: Collection[str]) -> None:
        """Give agents an item, in place of what they had.

        Raises:
            InvalidRequestError: As `check` does.
            UnavailableError: Another process keeps the file locked.
        """
        self.check(agents)
        self._change(lambda known: known | dict.fromkeys(agents, item))

    def take(self, agents: Collection[str]) -> None:
        """Take from agents what they have; raises as `assign` does."""
        self.check(agents)
        self._change(lambda known: {who: its for who, its in known.items() if who not in agents})

    def forget(self, item: str) -> None:
        """Take an item from all agents that have it; raises as `assign` does."""
        self._change(lambda known: {who: its for who, its in known.items() if its != item})

    def _change(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        file = self._file.with_suffix(".lock")
        with file.open("w") as lock:
            self._lock(lock, file)
            known = self.all()
            changed = change(known)
            if changed != known:
                draft = self._file.with_suffix(".partial")
                draft.write_bytes(msgspec.json.format(msgspec.json.encode(changed)))
                draft.replace(self._file)

    def _lock(self, lock: IO[str], file: Path) -> None:
        """Lock a file; the lock ends when it is closed, with its process at the latest."""
        until = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise UnavailableError(
                        f"{file} was locked for {LOCK_S:g} s: another command changes who has what "
                        "there and does not end; find it (`fuser` names it) or try again"
                    ) from None
                time.sleep(_POLL_S)


def _key(agent: str) -> int:
    simulation, slash, name = agent.partition("/")
    if not slash:
        raise InvalidRequestError(
            f"{agent[:80]!r} names no agent: write SIMULATION/AGENT, as in 'default/bob'", "agent"
        )
    return agent_key(check_simulation(simulation), check_agent(name))

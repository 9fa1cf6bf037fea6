"""A run on disk: the agents as they stood, and the turns since; what died goes on from there.

The agents are rewritten when the turns have outgrown them, so that the folder stays within a few
times their size, besides the calls that were made, which are kept for the report.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from scalesim.simulations.call_table import CallRow
from scalesim.simulations.driver.agent_turns import AgentMessage, TakenTurn
from scalesim.simulations.driver.world_state import AgentRecord, ShownState, WorldState

_FRAME = 8
"""Bytes before each frame: its length and its checksum. A frame that is torn was never there."""

_GROWTH = 2

LEAST_BYTES = 2**20
"""Turns are kept until they are larger than this, and than `_GROWTH` times the agents: then all
agents are written again."""


class SavedAgent(NamedTuple):
    """One agent between its turns; see `AgentRecord`."""

    state: bytes
    next_turn: float
    shown: list[ShownState]
    mail: list[AgentMessage]


class SavedTurns(NamedTuple):
    """Turns that were taken together, and the earliest step that was not done after them."""

    floor: int
    turns: list[TakenTurn]


class SavedStep(NamedTuple):
    """What a step left for the report: the seconds it took and the calls that ended in it."""

    step: int
    seconds: float
    calls: list[CallRow]


class Journal:
    """One run's folder, for runs with the same settings only.

    Args:
        folder: Made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._number = 0
        self._bytes = self._agents_bytes = 0
        self._turns: BinaryIO | None = None
        self._calls: BinaryIO | None = None

    def agents(self) -> list[AgentRecord] | None:
        """Return the agents as they stood when they were last written; None in a new folder."""
        numbers = [int(file.stem.split("-")[1]) for file in self._folder.glob("agents-*.msgpack")]
        if not numbers:
            return None
        self._number = max(numbers)
        content = self._agents_file.read_bytes()
        self._agents_bytes = len(content)
        if self._turns_file.exists():
            self._bytes = self._turns_file.stat().st_size
        saved = msgspec.msgpack.decode(content, type=list[SavedAgent])
        return [AgentRecord(*agent) for agent in saved]

    def turns(self) -> Iterator[SavedTurns]:
        """Yield the turns that were taken since then, to be taken in."""
        return _frames(self._turns_file, SavedTurns)

    def steps(self) -> list[SavedStep]:
        """Return what the steps left for the report, from the first on."""
        return list(_frames(self._folder / "calls.msgpack", SavedStep))

    def save(
        self, floor: int, seconds: float, turns: Sequence[TakenTurn], state: WorldState
    ) -> None:
        """Keep turns; on disk when this returns.

        Args:
            floor: The earliest step that is not done.
            seconds: Since the last save.
            turns: Taken since the last save; the state has taken them in.
            state: All agents, written where it is time.
        """
        calls = [call for turn in turns for call in turn.calls]
        self._calls = self._calls or _opened(self._folder / "calls.msgpack")
        _append(self._calls, SavedStep(floor - 1, seconds, calls))
        if self._bytes > max(_GROWTH * self._agents_bytes, LEAST_BYTES):
            self.write(state)
            return
        self._turns = self._turns or _opened(self._turns_file)
        self._bytes += _append(
            self._turns, SavedTurns(floor, [turn._replace(calls=()) for turn in turns])
        )

    def write(self, state: WorldState) -> None:
        """Write all agents; the turns before them are no longer needed."""
        old = (self._agents_file, self._turns_file)
        saved = [SavedAgent(a.state, a.next_turn, a.shown, a.mail) for a in state.agents]
        content = msgspec.msgpack.encode(saved)
        self._number += 1
        unfinished = self._agents_file.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._agents_file)
        self._agents_bytes, self._bytes = len(content), 0
        if self._turns is not None:
            self._turns.close()
            self._turns = None
        for file_of_old in old:
            file_of_old.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        for file in (self._turns, self._calls):
            if file is not None:
                file.close()
        self._turns = self._calls = None

    @property
    def _agents_file(self) -> Path:
        return self._folder / f"agents-{self._number:06}.msgpack"

    @property
    def _turns_file(self) -> Path:
        return self._folder / f"turns-{self._number:06}.msgpack"


def _opened(file: Path) -> BinaryIO:
    """Open a file behind its last whole frame."""
    whole = sum(_FRAME + len(content) for content in _contents(file))
    opened = file.open("r+b" if file.exists() else "w+b")
    opened.truncate(whole)
    opened.seek(whole)
    return opened


def _append(file: BinaryIO, value: Any) -> int:
    content = msgspec.msgpack.encode(value)
    frame = len(content).to_bytes(4) + zlib.crc32(content).to_bytes(4) + content
    file.write(frame)
    file.flush()
    os.fsync(file.fileno())
    return len(frame)


def _frames(file: Path, kind: type[Any]) -> Iterator[Any]:
    decoder = msgspec.msgpack.Decoder(kind)
    for content in _contents(file):
        yield decoder.decode(content)


def _contents(file: Path) -> Iterator[bytes]:
    if not file.exists():
        return
    with file.open("rb") as opened:
        while len(head := opened.read(_FRAME)) == _FRAME:
            content = opened.read(int.from_bytes(head[:4]))
            if not content or zlib.crc32(content) != int.from_bytes(head[4:]):
                return
            yield content

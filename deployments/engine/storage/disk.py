"""The files of a folder of pages, which may fail at any time and in any way."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scalesim.deployments.engine.storage import frame

_logger = logging.getLogger(__name__)

RETRY_S = 10.0
"""A folder that failed is left alone for so long: a remote one comes back within minutes, and each
try may cost its timeout."""

SUFFIX = ".page"

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Disk:
    """Reads, writes and deletes pages; a fault turns it off instead of being raised.

    A page that is not there is none, nor is a full disk. A page that a fault kept from being read
    is lost like a damaged one.

    Args:
        folder: Folder of the files.
        clock: Seconds that only go on.
        on_fault: Called with `fault` when it changes, on any thread.

    Attributes:
        fault: What it failed with; empty while it works.
        turned: It failed or works again since somebody set this to False.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        on_fault: Callable[[str], object] = lambda fault: None,
    ) -> None:
        self.folder = folder
        self.fault = ""
        self.turned = False
        self._clock = clock
        self._on_fault = on_fault
        self._retry_at = 0.0

    @property
    def is_due(self) -> bool:
        """Return whether it failed so long ago that `open` may be tried."""
        return bool(self.fault) and self._clock() >= self._retry_at

    def open(self) -> dict[str, int]:
        """Make the folder, try to write there, and return bytes by page found, oldest first."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._probe()
            found = []
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(SUFFIX):
                        with suppress(FileNotFoundError):  # another replica deleted it
                            found.append((entry.stat(), entry.name.removesuffix(SUFFIX)))
        except OSError as error:
            self._fail(error)
            return {}
        if self.fault:
            _logger.warning("The storage tier in %s works again", self.folder)
            self._turn("")
        return {name: stat.st_size for stat, name in sorted(found, key=_written_at)}

    def sweep(self) -> None:
        """Delete what processes that died left half-written."""
        try:
            with os.scandir(self.folder) as entries:
                drafts = [entry.path for entry in entries if entry.name.endswith(frame.DRAFT)]
            for draft in drafts:
                with suppress(FileNotFoundError):
                    os.unlink(draft)
        except OSError as error:
            if error.errno not in _ABSENT:
                self._fail(error)

    def is_gone(self) -> bool:
        """Return whether the folder itself is not there, or something else is in its place."""
        try:
            return not stat.S_ISDIR(os.stat(self.folder).st_mode)
        except OSError as error:
            if error.errno in _ABSENT:
                return True
            self._fail(error)
        return False

    def write(self, name: str, data: memoryview) -> int | None:
        """Write a page and return the bytes of its file; None where that was not possible."""
        try:
            return frame.write(self._path(name), name, data)
        except OSError as error:
            if error.errno not in _NO_ROOM | _ABSENT:
                self._fail(error)
            return None

    def read(self, name: str, into: memoryview) -> bool:
        """Fill `into` with a page; False where it is missing, damaged or cannot be read."""
        try:
            return frame.read(self._path(name), name, into)
        except OSError as error:
            if error.errno not in _ABSENT:
                self._fail(error)
            return False

    def has(self, name: str) -> bool:
        """Return whether a page's file is there and can be looked at."""
        try:
            os.stat(self._path(name))
        except OSError as error:
            if error.errno not in _ABSENT:
                self._fail(error)
            return False
        return True

    def delete(self, name: str) -> bool:
        """Delete a page's file if there is one; False where it is still there."""
        try:
            os.unlink(self._path(name))
        except OSError as error:
            if error.errno not in _ABSENT:
                self._fail(error)
                return False
        return True

    def _probe(self) -> None:
        """Write and delete a file; a disk that is full only cannot take more pages."""
        try:
            probe = self.folder / f"probe.{os.getpid()}{frame.DRAFT}"
            try:
                probe.write_bytes(b"1")
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise

    def _fail(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if not self.fault:
            _logger.error(
                "The storage tier in %s fails (%s) and is off; it is tried again every %g s",
                *(self.folder, reason, RETRY_S),
            )
        self._turn(f"{self.folder}: {reason}")
        self._retry_at = self._clock() + RETRY_S

    def _turn(self, fault: str) -> None:
        self.turned |= bool(fault) != bool(self.fault)
        self.fault = fault
        self._on_fault(fault)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"


def _written_at(found: tuple[os.stat_result, str]) -> int:
    return found[0].st_mtime_ns

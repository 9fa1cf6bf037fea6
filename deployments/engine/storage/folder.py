"""Pages on disk under a quota: the farthest agent's last page leaves first."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from scalesim.deployments.engine.storage.disk import Disk
from scalesim.deployments.engine.storage.known_pages import KnownPages


class PageFolder(KnownPages):
    """Pages in files of one folder; what leaves is deleted.

    The folder may be shared with other replicas of the same model: a page is named by its content,
    so any of them may read it, and one that another has deleted is a miss. Each keeps the pages it
    found or wrote within its own quota.

    No method raises for what the disk does, and none that a scheduler calls touches it: `put`,
    `get` and `on_disk` are for threads that read and write, files are deleted on a thread of our
    own. A folder that cannot be used is off, `fault` says why: it holds nothing then, and is tried
    again after a while. One that was deleted is made again.

    Args:
        folder: Made if missing. Pages already there are taken over, oldest first.
        quota_bytes: Most bytes kept.
        disk: Stands in for the folder's files.
    """

    def __init__(self, folder: Path, quota_bytes: int, disk: Disk | None = None) -> None:
        super().__init__(quota_bytes)
        self._disk = disk or Disk(folder)
        self._writing = threading.Lock()  # never held by a scheduler
        self._doomed: dict[str, None] = {}
        self._deleter: threading.Thread | None = None
        self._disk.sweep()
        self._take_over()

    @property
    def fault(self) -> str:
        """What the folder failed with; empty while it works."""
        return self._disk.fault

    def put(self, name: str, data: memoryview) -> bool:
        """Keep a page; False where it cannot be written. May evict others, or this one."""
        if not self._is_on():
            return False
        with self._lock:
            if self._is_latest(name):
                return True
        with self._writing:
            size = self._disk.write(name, data)
            if size is None and not self._disk.fault and self._disk.is_gone():
                self._take_over()
                size = None if self._disk.fault else self._disk.write(name, data)
            if size is None:
                return False
            self.add(name, size)
        return True

    def get(self, name: str, into: memoryview) -> bool:
        """Fill `into` with a page; one that cannot be read or is damaged is deleted: a miss."""
        if not self._is_on():
            return False
        if self._disk.read(name, into):
            return True
        with self._lock:
            self._delete(name)
        return False

    def on_disk(self, name: str) -> bool:
        """Return whether a page's file is there, of any replica; corrects what is known."""
        if not self._is_on():
            return False
        present = name not in self._doomed and self._disk.has(name)
        if not present:
            self.remove([name])
        return present

    def holds(self, chain: Iterable[str]) -> int:
        """Return how many leading pages of a chain can be read as far as is known."""
        return 0 if self._disk.fault else super().holds(chain)

    def clear(self) -> None:
        """Delete all pages."""
        with self._lock:
            self.remove(list(self._sizes))

    def take_changed(self) -> set[int]:
        """See `KnownPages.take_changed`; a folder that failed or came back changes all of them."""
        if self._disk.turned:
            self._disk.turned = False
            with self._lock:
                self._changed_owners.update(self._chains)
        if self._disk.is_due:
            self._tidy_soon()
        return super().take_changed()

    def wait_until_tidy(self, timeout_s: float = 10.0) -> bool:
        """Wait until no file is being deleted; return whether none is left that should be."""
        deleter = self._deleter
        if deleter is not None:
            deleter.join(timeout_s)
        return not self._doomed

    def _is_on(self) -> bool:
        if self._disk.is_due:
            with self._writing:
                if self._disk.is_due:
                    self._take_over()
        return not self._disk.fault

    def _take_over(self) -> None:
        """Make the folder and know what is in it, oldest first."""
        found = self._disk.open()
        with self._lock:
            self._sizes = {name: size for name, size in found.items() if name not in self._doomed}
            self._held_bytes = sum(self._sizes.values())
            self._changed_owners.update(self._chains)
        if self._doomed and not self._disk.fault:
            self._tidy_soon()

    def _delete(self, name: str) -> None:
        super()._delete(name)
        self._doomed[name] = None
        if not self._disk.fault:
            self._tidy_soon()

    def _tidy_soon(self) -> None:
        with self._lock:
            if self._deleter is not None and self._deleter.is_alive():
                return
            self._deleter = threading.Thread(target=self._tidy, name="pages", daemon=True)
            try:
                self._deleter.start()
            except RuntimeError:  # no more threads now; the next page that leaves tries again
                self._deleter = None

    def _tidy(self) -> None:
        """Delete files whose pages left, until there are none or the disk fails."""
        while True:
            self._is_on()
            with self._lock:
                if self._disk.is_due:
                    continue
                name = next(iter(self._doomed), None)
                if name is None or self._disk.fault:
                    self._deleter = None
                    return
            with self._writing:
                with self._lock:
                    if name in self._sizes:  # written again meanwhile
                        del self._doomed[name]
                        continue
                if self._disk.delete(name):
                    del self._doomed[name]

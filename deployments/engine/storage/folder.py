"""Pages on disk under a quota: the farthest agent's last page leaves first."""

from __future__ import annotations

from pathlib import Path

from deployments.engine.storage import frame
from deployments.engine.storage.known import KnownPages

_SUFFIX = ".page"


class PageFolder(KnownPages):
    """Pages in files of one folder; what leaves is deleted.

    The folder may be shared with other replicas of the same model: a page is named by its content,
    so any of them may read it, and one that another has deleted is a miss. Each keeps the pages it
    found or wrote within its own quota.

    Args:
        folder: Made if missing. Pages already there are taken over, oldest first.
        quota_bytes: Most bytes kept.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        super().__init__(quota_bytes)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(f"*{frame.DRAFT}"):
            draft.unlink(missing_ok=True)
        found = [(file.stat(), file) for file in folder.glob(f"*{_SUFFIX}")]
        for stat, file in sorted(found, key=lambda pair: pair[0].st_mtime_ns):
            self._sizes[file.stem] = stat.st_size
        self._held_bytes = sum(self._sizes.values())

    def put(self, name: str, data: memoryview) -> bool:
        """Keep a page; False where it cannot be written. May evict others, or this one."""
        with self._lock:
            if self._is_latest(name):
                return True
        try:
            size = frame.write(self._path(name), name, data)
        except OSError:
            return False
        self.add(name, size)
        return True

    def get(self, name: str, into: memoryview) -> bool:
        """Fill `into` with a page; one that cannot be read or is damaged is deleted: a miss."""
        if frame.read(self._path(name), name, into):
            return True
        with self._lock:
            self._delete(name)
        return False

    def on_disk(self, name: str) -> bool:
        """Return whether a page's file is there, whoever wrote it; corrects what is known."""
        present = self._path(name).exists()
        if not present:
            self.remove([name])
        return present

    def clear(self) -> None:
        """Delete all pages."""
        with self._lock:
            self.remove(list(self._sizes))

    def _delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        super()._delete(name)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

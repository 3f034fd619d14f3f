"""Brings what was written to a file onto the disk, at the latest after a set time.

fsync can take tens of milliseconds, so a thread does it while the next results are computed. If it
fails, the kernel may have dropped the data already and would report success the next time
(https://wiki.postgresql.org/wiki/Fsync_Errors), so the first failure is final.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dfgen.store.atomic_files import sync_directory
from dfgen.store.os_errors import explain_os_errors


class Syncer:
    """fsync for one open file.

    Args:
        descriptor: of the file.
        path: its name, for messages; its directory is fsynced once.
        size: bytes that it has now.
        interval_s: longest time from a write to its fsync; 0: before `written` returns.
    """

    def __init__(self, descriptor: int, path: Path, size: int, interval_s: float) -> None:
        self._descriptor = descriptor
        self._path = path
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._size = size
        self._synced = 0
        self._directory_synced = False
        self._stopped = False
        self._failure: OSError | None = None

    @property
    def synced(self) -> int:
        """Bytes from the start of the file that are known to be on the disk."""
        return self._synced

    def written(self, size: int) -> None:
        """Take note that the file has `size` bytes now.

        Raises:
            StorageError: this or an earlier fsync failed.
        """
        self._size = size
        self.check()
        if self._interval_s <= 0:
            self.sync()
        elif self._timer is None:
            self._timer = threading.Timer(self._interval_s, self._sync_later)
            self._timer.daemon = True
            self._timer.start()

    def sync(self) -> None:
        """Return when everything written is on the disk. Raises `StorageError`."""
        self._sync()
        self.check()

    def check(self) -> None:
        """Raise `StorageError` if an fsync failed."""
        if self._failure is not None:
            with explain_os_errors(self._path, "sync"):
                raise self._failure

    def stop(self) -> None:
        """Sync nothing any more; when this returns, the file may be closed."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
        with self._lock:
            self._stopped = True

    def _sync_later(self) -> None:
        # First, so that a write during the fsync starts the next period.
        self._timer = None
        self._sync()

    def _sync(self) -> None:
        with self._lock:
            size = self._size
            if self._stopped or self._failure is not None or size == self._synced:
                return
            try:
                os.fsync(self._descriptor)
                if not self._directory_synced:
                    sync_directory(self._path.parent)
                    self._directory_synced = True
            except OSError as error:
                self._failure = error
                return
            self._synced = size

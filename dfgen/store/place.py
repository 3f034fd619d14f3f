"""Opens what a run needs where it lies: its lock, and the bucket that a folder stands for."""

from __future__ import annotations

from pathlib import Path

from dfgen.store.layout import LOCK
from dfgen.store.lock import FileLock
from dfgen.store.mounts import MARKER, RunLock, find_mount


def open_lock(root: Path) -> RunLock:
    """Open the lock by which one process has a run for itself."""
    mount, path = find_mount(root), root / LOCK
    return FileLock(path) if mount is None else mount.make_lock(path)


def ensure_mounted(root: Path) -> None:
    """Let a staging directory stand for its bucket also in a worker of the process that uses it.

    Raises:
        StorageError: the bucket cannot be reached.
    """
    if find_mount(root) is None and (root.parent / MARKER).is_file():
        from dfgen.store.bucket.mounting import attach

        attach(root)

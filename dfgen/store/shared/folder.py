"""Opens the shared files of a run wherever the run is: on a disk, or in a bucket."""

from __future__ import annotations

import shutil
from pathlib import Path

from dfgen.store.layout import SHARED
from dfgen.store.mounts import find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.shared.files import PosixFiles, SharedFiles


def open_shared_files(root: Path) -> SharedFiles:
    """Open the shared files of a run; there need be none yet.

    Raises:
        StorageError: the run's store cannot decide who of several comes first.
    """
    if find_mount(root) is None:
        return PosixFiles(root / SHARED)
    from dfgen.store.bucket.mounting import share_files

    return share_files(root, SHARED)


def refuse_sharing(root: Path) -> None:
    """Make sure that several can work on a run, there or to be made, before anything is begun.

    Raises:
        StorageError: the run's store cannot decide who of several comes first.
    """
    open_shared_files(root)


def find_shared_files(root: Path) -> SharedFiles | None:
    """Open the shared files of a run; None if nobody has shared it. Raises `StorageError`."""
    mount = find_mount(root)
    there = (root / SHARED).is_dir() if mount is None else SHARED in mount.list_top()
    return open_shared_files(root) if there else None


def clear_shared_files(root: Path) -> None:
    """Remove the shared files of a run that nobody shares any more. Raises `StorageError`."""
    mount = find_mount(root)
    if mount is not None:
        mount.clear(SHARED)
        return
    folder = root / SHARED
    with explain_os_errors(folder, "clean up"):
        shutil.rmtree(folder)

"""Knows which folders of this machine stand for a run that lies in a bucket.

A run is a folder to everything in dfgen, and files of a run on a disk are read and written as files
always are: with nothing mounted, all that this module costs is one look at an empty dictionary.
Where a run lies in a bucket, its folder is a staging directory, and the few functions that change a
file of a run tell its `Mount`, in the order in which they change them. So the bucket goes through
the same states as the disk does, and whatever a process that is killed leaves there is one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

MARKER = "mount.json"
"""Beside a staging directory: says of which bucket it is, for other processes of this one."""


class RunLock(Protocol):
    """A lock that one process holds on a run."""

    def acquire(self) -> None:
        """Take it; raises `RunLockedError` if another process holds it, and `StorageError`."""
        ...

    def release(self) -> None:
        """Give it back. Raises `StorageError`."""
        ...

    def refuse_holder(self) -> None:
        """Make sure that nobody has it, without taking it; raises what `acquire` does."""
        ...

    def check(self) -> None:
        """Raise `RunLockedError` if somebody else has taken it meanwhile."""
        ...


class Mount(Protocol):
    """A run in a bucket. All methods raise `StorageError`; paths lie in `root`."""

    guard: Callable[[], None] | None
    """Asked before each change of the bucket; raises when this process may change nothing."""

    @property
    def root(self) -> Path:
        """The staging directory, absolute."""
        ...

    @property
    def address(self) -> str:
        """Where the run is, for people."""
        ...

    def make_lock(self, path: Path) -> RunLock:
        """Return the lock of the run, which holds on every machine."""
        ...

    def refresh(self) -> None:
        """See what others have written meanwhile."""
        ...

    def refresh_if_due(self) -> None:
        """See what others have written, unless that takes long and was done not long ago."""
        ...

    def refresh_shards(self, shards: Collection[int]) -> None:
        """See what others have written of some shards and into run.json, as `refresh` would."""
        ...

    def take_up(self) -> list[str]:
        """Begin to write, with the lock: bring what this machine did not get there.

        Returns:
            What people should know of it, a sentence each.
        """
        ...

    def exists(self, path: Path) -> bool:
        """Say whether the bucket has a file, fetched or not."""
        ...

    def list_sizes(self, folder: Path) -> dict[str, int]:
        """List the files that the bucket has in a folder: name, size in bytes."""
        ...

    def list_folders(self, folder: Path) -> set[str]:
        """List the folders that the bucket has in a folder, by name."""
        ...

    def fetch_again(self, path: Path) -> None:
        """Have a file here as it is there now."""
        ...

    def clear(self, folder: str) -> None:
        """Remove all objects of a folder of the run that is no mirror of one here."""
        ...

    def list_top(self) -> set[str]:
        """List what the bucket has in the run's folder, files and folders, by name."""
        ...

    def fetch(self, path: Path) -> None:
        """Have a file here, if the bucket has it."""
        ...

    def fetch_all(self) -> None:
        """Have every file of the run here."""
        ...

    def open(self, path: Path) -> BinaryIO | None:
        """Open a file that is not here, to read parts of it; None: the bucket has none."""
        ...

    def will_change(self, *paths: Path) -> None:
        """Take note that files here are about to be written, moved or removed."""
        ...

    def has_created(self, path: Path) -> None:
        """Bring a file that is new here; `FileExistsError`: somebody else was faster."""
        ...

    def has_written(self, path: Path) -> None:
        """Bring a file that is written here."""
        ...

    def has_moved(self, path: Path, target: Path) -> None:
        """Move a file there, too."""
        ...

    def has_removed(self, paths: Iterable[Path]) -> None:
        """Remove files there, too."""
        ...

    def has_appended(self, path: Path, end: int, records: int) -> None:
        """Take note of records that were added to a journal, which has `end` bytes now."""
        ...

    def flush(self, path: Path) -> None:
        """Bring all of a journal."""
        ...


_MOUNTS: dict[Path, Mount] = {}


def add_mount(mount: Mount) -> None:
    """Let a folder stand for a bucket in this process."""
    _MOUNTS[mount.root] = mount


def remove_mount(root: Path) -> None:
    """Let a folder be a folder again."""
    _MOUNTS.pop(root, None)


def find_mount(path: Path) -> Mount | None:
    """Return what a path of a run lies in; None for what is on this machine's disks alone."""
    if not _MOUNTS:
        return None
    return next((mount for root, mount in _MOUNTS.items() if path.is_relative_to(root)), None)


def name_place(path: Path) -> str:
    """Name a file or folder of a run for people: by its address, if it lies in a bucket."""
    mount = find_mount(path)
    if mount is None:
        return str(path)
    below = path.relative_to(mount.root).as_posix()
    return mount.address if below == "." else f"{mount.address}/{below}"


def show_addresses(text: str) -> str:
    """Put addresses into a text for people, where staging directories are named."""
    for mount in _MOUNTS.values():
        text = text.replace(str(mount.root), mount.address)
    return text


def find_scratch(root: Path) -> Path:
    """Return a folder for what is made of a run and is no part of it: beside a staging directory,
    in the run directory itself otherwise."""
    return root if find_mount(root) is None else root.parent


def look_again(root: Path) -> None:
    """See what others have written into a run's bucket; on a disk that needs no doing.

    Raises:
        StorageError: the bucket cannot be read.
    """
    mount = find_mount(root)
    if mount is not None:
        mount.refresh()


def fetch_whole(root: Path) -> None:
    """Have every file of a run here, for who looks at all of them.

    Raises:
        StorageError: one cannot be fetched.
    """
    mount = find_mount(root)
    if mount is not None:
        mount.fetch_all()


def exists(path: Path) -> bool:
    """Say whether a run has a file, here or in its bucket."""
    if path.exists():
        return True
    mount = find_mount(path)
    return mount is not None and mount.exists(path)


def list_folders(folder: Path) -> set[str]:
    """List the folders that a folder of a run has, here or in its bucket, by name.

    Raises:
        OSError: it cannot be listed.
    """
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    mount = find_mount(folder)
    return here if mount is None else here | mount.list_folders(folder)


def fetch(path: Path) -> Path:
    """Return a path of a run, whose file is here now if there is one.

    Raises:
        StorageError: it cannot be fetched.
    """
    mount = find_mount(path)
    if mount is not None and not path.exists():
        mount.fetch(path)
    return path

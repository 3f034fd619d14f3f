"""Keeps small files that any number of processes and machines change safely, without a server.

`SharedFiles` is all that claims, leases and shares of a budget stand on: create if absent, replace
if unchanged. `PosixFiles` offers it on a disk that the machines share; NFS will do.

A file system can create a file exclusively (link(2), O_EXCL), but cannot replace one on condition.
So each content of a name is a file of its own, numbered: whoever replaces version 7 creates version
8, and of all who try only one can. The last versions are kept for a while, because a process that
was frozen for long may still try to write one of them; it must find it taken. What is deleted is
replaced by a mark, so that numbers never start again. No lock is held at any time: a process that
is stopped anywhere stops nobody else.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dfgen.regular_files import read_at_most
from dfgen.store.atomic_files import create_file, make_directory
from dfgen.store.os_errors import explain_os_errors

MOST_BYTES = 1 << 20
"""Of one content."""
CLAIMS = "claims"
"""Folder of what says who has what for itself. It means nothing once the machines of those are
down, so unlike all else it need not survive that: waits for the disk in each shard are saved."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*(/[A-Za-z][A-Za-z0-9._-]*)*", re.ASCII)
"""What a name looks like; its parts are folders, and no part begins with a digit."""


class SharedFiles(Protocol):
    """Files that processes on several machines change at the same time.

    Every method raises `StorageError` if the storage fails. A name is text like
    `claims/mask-00012` (`NAME`); no name is a folder of another one. Contents are at most
    `MOST_BYTES` and do not begin with a NUL byte.
    """

    def create(self, name: str, data: bytes) -> str | None:
        """Create a file; returns its version, or None if there is one already."""
        ...

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return content and version as they are now; None if there is no such file."""
        ...

    def replace(self, name: str, data: bytes, version: str) -> str | None:
        """Replace a file if it still has this version; returns the new one, None if it has not."""
        ...

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a file, if it still has this version where one is given; says whether it did."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names of all files in a folder and the folders below it, in order."""
        ...


_VERSION = re.compile(r"[0-9]{8,15}", re.ASCII)
_KEPT = 16
"""Versions that stay. A process that was stopped between reading a version and writing the next one
may be this far behind and still be told the truth; further behind, it counts as too late."""
_DELETED = b"\0"
_WRITE_S = 2.0
"""Seconds that a version may be empty: being written, where hard links do not exist."""


class PosixFiles:
    """`SharedFiles` on a file system that creates files exclusively (POSIX, NFS).

    Args:
        root: directory of the files; need not exist. Nothing else may lie in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, data: bytes) -> str | None:
        """Create a file; returns its version, or None if there is one already."""
        number, content = self._read_latest(name)
        if content is not None:
            return None
        return self._put(name, number + 1, data)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return content and version as they are now; None if there is no such file."""
        number, content = self._read_latest(name)
        return None if content is None else (content, str(number))

    def replace(self, name: str, data: bytes, version: str) -> str | None:
        """Replace a file if it still has this version; returns the new one, None if it has not."""
        if max(self._list_versions(name), default=0) != int(version):
            return None
        return self._put(name, int(version) + 1, data)

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a file, if it still has this version where one is given; says whether it did."""
        while True:
            number, content = self._read_latest(name)
            if content is None or version not in (None, str(number)):
                return False
            if self._put(name, number + 1, _DELETED) is not None:
                return True

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names of all files in a folder and the folders below it, in order."""
        top = self._find_folder(prefix)
        with explain_os_errors(top, "list"):
            folders = sorted(Path(folder) for folder, _, files in os.walk(top) if files)
        for folder in folders:
            name = folder.relative_to(self.root).as_posix()
            if folder != top and NAME.fullmatch(name) and self._read_latest(name)[1] is not None:
                yield name

    def _find_folder(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a shared file")
        return self.root / name

    def _list_versions(self, name: str) -> Sequence[int]:
        folder = self._find_folder(name)
        with explain_os_errors(folder, "list"):
            try:
                names = [path.name for path in folder.iterdir()]
                return sorted(int(name) for name in names if _VERSION.fullmatch(name))
            except FileNotFoundError:
                return []

    def _read_latest(self, name: str) -> tuple[int, bytes | None]:
        """The latest version and its content: (0, None) if there never was one, (n, None) if it is
        deleted."""
        deadline = time.monotonic() + _WRITE_S
        while True:
            number = max(self._list_versions(name), default=0)
            if number == 0:
                return 0, None
            path = self._find_version(name, number)
            with explain_os_errors(path, "read"):
                try:
                    content = read_at_most(path, MOST_BYTES)
                except FileNotFoundError:
                    continue  # many newer ones have been written meanwhile
            if content or time.monotonic() > deadline:
                return number, None if content == _DELETED else content
            time.sleep(0.02)

    def _find_version(self, name: str, number: int) -> Path:
        return self._find_folder(name) / f"{number:08d}"

    def _put(self, name: str, number: int, data: bytes) -> str | None:
        """Create a version; None if somebody else has, now or long ago."""
        if len(data) > MOST_BYTES or (data.startswith(b"\0") and data != _DELETED):
            raise ValueError(f"the content of {name} is too long or begins with a NUL byte")
        path, durable = self._find_version(name, number), not name.startswith(f"{CLAIMS}/")
        with explain_os_errors(path, "write"):
            if durable:
                make_directory(path.parent)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
            try:
                create_file(path, data, durable=durable)
            except FileExistsError:
                return None
        versions = self._list_versions(name)
        if versions and versions[-1] - number >= _KEPT:
            # It may have been there before, and been cleared away with those that are too old. Who
            # was in time and looked that late is told so as well, and tries again, which takes
            # somebody's share of a budget twice at worst and lets nobody have what another has.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        for old in versions:
            if old <= number - _KEPT:
                with suppress(OSError):  # another process clears away the same
                    self._find_version(name, old).unlink(missing_ok=True)
        return str(number)

"""Writes files that are either there in full or not at all, also after a power loss.

A new file is written under a temporary name in the same directory, fsynced, and renamed; then the
directory is fsynced, because the name is data of the directory (fsync(2), rename(2)).
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dfgen.errors import RunLockedError
from dfgen.store.layout import TEMPORARY_PREFIX
from dfgen.store.mounts import find_mount

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def sync_file(path: Path) -> None:
    """Return when the bytes of a closed file are on the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the names in a directory are on the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not know fsync of directories; they write names through.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory with its parents, durably. Raises `OSError`."""
    if path.is_dir():
        return
    if path.parent != path:
        make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    sync_directory(path.parent)


@contextmanager
def replace_file(path: Path, desk: Path | None = None) -> Iterator[Path]:
    """Give a temporary path to write; when the block ends well, it becomes `path`, atomically.

    When the block raises, the temporary file is removed and `path` stays as it was.

    Args:
        desk: directory on the same file system in which the file is written; by default that of
            `path`. While it is gone, nothing can be put in place (`dfgen.store.shared.crew`).

    Raises:
        OSError: the disk is full, ...
        RunLockedError: the desk is gone.
    """
    make_directory(path.parent)
    name = f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}.tmp"
    temporary = path.with_name(name) if desk is None else desk / name
    try:
        yield temporary
        sync_file(temporary)
        mount = find_mount(path)
        if mount is not None:
            mount.will_change(path)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if desk is not None and isinstance(error, OSError) and not desk.is_dir():
            raise describe_takeover(desk) from error
        raise
    sync_directory(path.parent)
    if mount is not None:
        mount.has_written(path)


def describe_takeover(desk: Path) -> RunLockedError:
    """Return the error of a process whose work others have taken over."""
    return RunLockedError(
        "this process has shown no sign of life for longer than its lease, and others have taken "
        "over its shards.",
        where=str(desk.parent),
        hint="What it had finished stays. Give the same command again to join the others.",
    )


def describe_missing_desk(desk: Path) -> RunLockedError:
    """Return the error of a process whose desk is gone, as far as anybody knows with its run."""
    return RunLockedError(
        "this process's folder in the run is gone: the run was deleted, renamed or replaced while "
        "it was worked on, or others have taken over its shards.",
        where=str(desk),
        hint="It stops here. Give the same command again for the place where the run is now; what "
        "was finished there stays.",
    )


def create_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Create a file with its content in one step, or raise `FileExistsError`.

    Where the file system can, the file is written without a name and then gets its own, so that a
    process that is killed leaves nothing. Elsewhere a hard link to a finished temporary file is
    atomic, on NFS as well; where links do not exist, the file is opened with O_EXCL, and a reader
    may meet it empty for a moment. Raises `OSError`.

    Args:
        durable: whether it has to survive a power loss.
    """
    mount = find_mount(path)
    if mount is not None:
        mount.will_change(path)
    if not _create_from_unnamed(path, content, durable):
        _create_from_temporary(path, content, durable)
    if durable:
        sync_directory(path.parent)
    if mount is not None:
        mount.has_created(path)


def move_file(path: Path, target: Path, desk: Path | None = None) -> None:
    """Give a file of a run another name in it, durably; `target` is replaced.

    Args:
        desk: see `replace_file`. Who was given up may find another file by the name, which others
            have made since: it stays, and so does the one that they have moved.

    Raises:
        OSError: it cannot be moved.
        RunLockedError: the desk is gone.
    """
    make_directory(target.parent)
    mount = find_mount(path)
    if mount is not None:
        mount.will_change(target, path)
    if mount is None or path.exists():
        if desk is None or not _link_first(path, target, desk):
            path.replace(target)
            if desk is None:
                # Of two names of one file, as `_link_first` may leave them, rename(2) keeps both.
                path.unlink(missing_ok=True)
        sync_directory(target.parent)
        sync_directory(path.parent)
    if mount is not None:
        mount.has_moved(path, target)


def _link_first(path: Path, target: Path, desk: Path) -> bool:
    """Move a file so that who was given up cannot; return False where there are no hard links.

    The second name comes first: killed in between, it has both, and the next start goes on.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        if not desk.is_dir():
            raise describe_takeover(desk) from None
        if not target.samefile(path):
            return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return False
    _remove_file(path, desk)
    return True


def remove_files(paths: Sequence[Path], desk: Path | None = None) -> None:
    """Delete files of one folder of a run, durably, those that are not there included.

    The desk and the errors are those of `replace_file`.
    """
    if not paths:
        return
    mount = find_mount(paths[0])
    if mount is not None:
        mount.will_change(*paths)
    for path in paths:
        _remove_file(path, desk)
    if paths[0].parent.is_dir():
        sync_directory(paths[0].parent)
    if mount is not None:
        mount.has_removed(paths)


def _remove_file(path: Path, desk: Path | None) -> None:
    if desk is None:
        path.unlink(missing_ok=True)
        return
    temporary = desk / f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        path.replace(temporary)
    except OSError as error:
        if not desk.is_dir():
            raise describe_takeover(desk) from error
        if not isinstance(error, FileNotFoundError):
            raise
    temporary.unlink(missing_ok=True)


def open_unnamed(directory: Path) -> int | None:
    """Open a new file that has no name and is gone when it is closed; None where there are none.

    Raises `OSError`: the disk is full, read-only, ...
    """
    flag = getattr(os, "O_TMPFILE", None)  # of Linux
    if flag is None:
        return None
    try:
        return os.open(directory, os.O_RDWR | os.O_CLOEXEC | flag, 0o666)
    except OSError as error:
        # A kernel or file system that knows no such flag sees a directory opened for writing.
        if error.errno in (errno.EISDIR, errno.ENOTSUP, errno.EINVAL, errno.ENOENT):
            return None
        raise


def _create_from_unnamed(path: Path, content: bytes, durable: bool) -> bool:
    """Try to create a file without a temporary name; return whether that was possible here."""
    descriptor = open_unnamed(path.parent)
    if descriptor is None:
        return False
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        if durable:
            os.fsync(descriptor)
        try:
            # With a descriptor of a directory, which an absolute path does not need, this is
            # linkat(2); without, Python calls link(2), which does not follow the link in /proc.
            os.link(
                f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True
            )
        except FileExistsError:
            raise
        except OSError:  # no /proc, or no links
            return False
    finally:
        os.close(descriptor)
    return True


def _create_from_temporary(path: Path, content: bytes, durable: bool) -> None:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        if durable:
            sync_file(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # NFS repeats a call whose answer was lost, and then says "exists" of its own work.
            if temporary.stat().st_nlink < 2:
                raise
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            with path.open("xb") as file:
                file.write(content)
            if durable:
                sync_file(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_temporary_files(directory: Path, *, older_than_s: float = 0.0) -> None:
    """Delete what dead writers left in a directory.

    Args:
        directory: need not exist.
        older_than_s: leaves younger files alone, where living processes may be writing, too.

    Raises:
        OSError: a file cannot be deleted.
    """
    if not directory.is_dir():
        return
    for path in directory.glob(f"{TEMPORARY_PREFIX}*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()

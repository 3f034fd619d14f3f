"""Turns what the operating system says about the run directory into a `StorageError`."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfgen.errors import StorageError

RESUME = "then give the same command again: it goes on where it stopped."

_CAUSES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", f"Free some space, {RESUME}"),
    errno.EDQUOT: ("your disk quota is used up", f"Free some space, {RESUME}"),
    errno.EFBIG: (
        "the file would exceed the size that the system allows",
        f"Raise the limit (`ulimit -f`), {RESUME}",
    ),
    errno.EROFS: ("the file system is read-only", f"Make it writable, {RESUME}"),
    errno.EACCES: ("permission denied", f"Give yourself write permission, {RESUME}"),
    errno.EPERM: ("operation not permitted", f"Give yourself write permission, {RESUME}"),
    errno.ENOTDIR: ("a part of the path is a file", "Choose another run directory."),
}
_CLOSED = (errno.EACCES, errno.EPERM)
_READING = ("read", "list", "look at")
"""Who is refused these wants no leave to write, and has left nothing behind."""


@contextmanager
def explain_os_errors(path: Path, doing: str) -> Iterator[None]:
    """Raise `StorageError` for an `OSError` in the block.

    Args:
        path: what the block works on; named in the message.
        doing: verb for the message: `cannot <doing> PATH: ...`.
    """
    try:
        yield
    except OSError as error:
        cause, hint = _CAUSES.get(
            error.errno or 0,
            (error.strerror or str(error), f"Put that right, {RESUME}"),
        )
        kept = " Nothing half-written counts as done."
        if doing in _READING:
            kept = ""
            if error.errno in _CLOSED:
                hint = "Give yourself read permission, then give the same command again."
        raise StorageError(
            f"cannot {doing} it: {cause}.{kept}",
            where=str(path),
            hint=hint,
        ) from error

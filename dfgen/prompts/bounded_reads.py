"""Reads files that strangers made: never more bytes than allowed, and nothing but regular files.

A device has no end and a pipe may never begin, so neither is opened; a file that grows while it is
read, or unpacks to more than it seems, is cut off one byte above the limit.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, AnyStr

from dfgen.errors import InputError

_SKIPPED_AT_ONCE = 1 << 20
_LONGEST = 1 << 30


def check_regular(file: Path) -> os.stat_result:
    """Return what the system says of a regular file, links followed.

    Raises:
        OSError: it is not there, or is a folder, a device, a pipe or a socket.
    """
    found = file.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, not a file", str(file))
    return found


def read_at_most(file: Path, size: int) -> bytes:
    """Return the content of a regular file; of a larger one, `size` + 1 bytes.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    check_regular(file)
    # What was a file a moment ago may be a pipe now: opening one must not wait for a writer.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:  # noqa: PTH123
        found = check_regular(Path(f"/dev/fd/{descriptor}"))
        # Python sets aside as much memory as it is asked to read.
        return stream.read(min(found.st_size, size) + 1)


def iter_lines(stream: IO[AnyStr], longest: int, where: str) -> Iterator[AnyStr | None]:
    """Yield the lines of a file; None for each that is longer than allowed.

    Args:
        stream: binary or text.
        longest: bytes or characters that a line may have, its end included.
        where: names the file in the error.

    Raises:
        InputError: a line goes on for more than 2**30 bytes or characters.
    """
    number = 0
    while line := stream.readline(longest + 1):
        number += 1
        if len(line) <= longest:
            yield line
            continue
        _skip_line(stream, line, f"{where}:{number}")
        yield None


def _skip_line(stream: IO[AnyStr], line: AnyStr, where: str) -> None:
    end = b"\n" if isinstance(line, bytes) else "\n"
    length = len(line)
    while line and not line.endswith(end):
        if length > _LONGEST:
            raise InputError(
                f"the line goes on for more than {_LONGEST:,} bytes, so this is no file of rows.",
                where=where,
                hint="Take the file away, or mend it; a compressed file may be made to fill disks.",
            )
        line = stream.readline(_SKIPPED_AT_ONCE)
        length += len(line)

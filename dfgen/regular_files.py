"""Reads files that anybody may have made: regular ones only, and never more bytes than allowed.

A device has no end and a pipe may never begin, so neither is opened; a file that grows while it is
read is cut off one byte above the limit.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any


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


def read_json(file: Path, size: int) -> Any:
    """Return what a JSON file of at most `size` bytes holds, halves of surrogate pairs included.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is not JSON, or larger.
    """
    content = read_at_most(file, size)
    if len(content) > size:
        raise ValueError(f"it has more than {size:,} bytes")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its lists and objects stand too deep in each other") from None


def open_for_arrow(file: Path) -> Any:
    """Open a file that Arrow is to read: `pyarrow.parquet` takes what this returns.

    Given a path, it would take `~` for a home, an address for a file system and a folder `a=b` for
    a column, and refuse a name that is no UTF-8.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    import pyarrow as pa

    check_regular(file)
    return pa.OSFile(os.fsencode(file))

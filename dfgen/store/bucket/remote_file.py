"""Reads parts of an object as a file is read: a Parquet footer and one column, not the whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

_TAIL_BYTES = 64 * 1024
"""Read at once from the end: what a Parquet footer of a shard takes."""


class RemoteFile(io.RawIOBase):
    """An object of known size, read-only.

    Args:
        size: in bytes.
        read_range: gives the bytes from one offset up to another.
    """

    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._read_range = read_range
        self._position = 0
        self._tail: bytes | None = None

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes; all that are left if negative.

        Raises:
            StorageError: the store refuses.
            FileNotFoundError: the object is another one now.
        """
        end = self._size if size < 0 else min(self._size, self._position + size)
        start = self._position
        if start >= end:
            return b""
        self._position = end
        begin = max(0, self._size - _TAIL_BYTES)
        if start < begin:
            return self._read_range(start, end)
        if self._tail is None:
            self._tail = self._read_range(begin, self._size)
        return self._tail[start - begin : end - begin]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place; returns it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the place of the next read."""
        return self._position

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

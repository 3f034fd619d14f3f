"""Reads parts of an object as a file is read: a Parquet footer and one column, not the whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

_LEAST_BYTES = 64 * 1024
"""Read at once: what a Parquet footer of a shard takes, and what a store sends while it answers.
The columns of a table lie side by side, and who reads several asks for one after the other."""


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
        self._ahead, self._ahead_start = b"", 0

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
        begin = max(0, self._size - _LEAST_BYTES)
        if start >= begin:
            if self._tail is None:
                self._tail = self._read_range(begin, self._size)
            return self._tail[start - begin : end - begin]
        if not self._ahead_start <= start < end <= self._ahead_start + len(self._ahead):
            if end - start >= _LEAST_BYTES:
                return self._read_range(start, end)
            self._ahead = self._read_range(start, min(self._size, start + _LEAST_BYTES))
            self._ahead_start = start
        return self._ahead[start - self._ahead_start : end - self._ahead_start]

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

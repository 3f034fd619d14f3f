"""Defines places in a text, and leads from characters to UTF-8 bytes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfgen.errors import RowError


class Span(NamedTuple):
    """A half-open interval [start, end)."""

    start: int
    end: int


class ByteMap:
    """Character offsets of one text to UTF-8 byte offsets.

    Args:
        text: any text without lone surrogates.
        name: what to call the text in an error.

    Raises:
        RowError: `invalid_unicode` for a lone surrogate, which has no UTF-8 form.
    """

    def __init__(self, text: str, name: str = "text") -> None:
        self._table: NDArray[np.int32] | None = None
        self.size = len(text)
        if text.isascii():
            return
        try:
            codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        except UnicodeEncodeError as error:
            raise RowError(
                "invalid_unicode",
                f"{name} holds a lone surrogate at character {error.start}.",
                {"character": error.start},
            ) from None
        table = np.zeros(len(codes) + 1, dtype=np.int32)
        np.cumsum(1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF), out=table[1:])
        self._table = table
        self.size = int(table[-1])

    def to_bytes(self, chars: list[int]) -> list[int]:
        """Return the byte offset of each character offset."""
        if self._table is None:
            return chars
        offsets: list[int] = self._table[chars].tolist()
        return offsets

    def to_chars(self, offsets: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the character each byte offset falls into, and whether it begins there."""
        if self._table is None:
            return offsets.astype(np.int64), np.ones(len(offsets), dtype=np.bool_)
        chars = np.searchsorted(self._table, offsets, side="right") - 1
        return chars, self._table[chars] == offsets

"""Finds rows by a hash, and remembers which were met: how a source is compared with what was read.

A dict from hash to state takes some 150 bytes per row. Runs hold millions of prompts, on machines
whose memory is needed for models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

KEY_BYTES = 16
DIGEST_BYTES = 8

Found = Literal["new", "same", "changed"]

_UNMET, _SAME, _CHANGED = range(3)


class RowIndex:
    """Rows by a key of 16 bytes, each with a digest of what else it says.

    Takes 29 bytes per row, and 40 while it is sorted. A key may be there more than once: rows that
    differ in what else they say.

    Args:
        size: how many rows `add` will be given.

    Attributes:
        any_met: whether any row was met, as it is or with another digest.
    """

    def __init__(self, size: int) -> None:
        self._high = np.empty(size, np.uint64)
        self._low = np.empty(size, np.uint64)
        self._digests = np.empty(size, np.uint64)
        self._states = np.zeros(0, np.uint8)
        self._order: np.ndarray | None = None
        self._used = 0
        self.any_met = False

    def __len__(self) -> int:
        return self._used

    def add(self, key: bytes, digest: bytes) -> None:
        """Take in a row; all are taken in before the first one is met.

        Args:
            key: 16 bytes.
            digest: 8 bytes.
        """
        i = self._used
        self._high[i], self._low[i] = _split(key)
        self._digests[i] = int.from_bytes(digest, "big")
        self._used = i + 1

    def meet(self, key: bytes, digest: bytes | None) -> Found:
        """Note that a row stands in the source, and say whether it is there.

        Args:
            key: 16 bytes.
            digest: 8 bytes; None: whatever the row says, it is not what was known of it.
        """
        found: Found = "new"
        for i in self._iter_places(key):
            same = digest is not None and self._digests[i] == int.from_bytes(digest, "big")
            # A row that once was met as it is stays so.
            self._states[i] = _SAME if same or self._states[i] == _SAME else _CHANGED
            self.any_met = True
            found = "same" if same or found == "same" else "changed"
        return found

    def find(self, key: bytes) -> list[int]:
        """Return the rows with this key, as places in the order of `add`."""
        self._sort()
        assert self._order is not None
        return [int(self._order[i]) for i in self._iter_places(key)]

    def accept(self, key: bytes) -> None:
        """Note that the rows with this key stand in the source as they are, after all."""
        for i in self._iter_places(key):
            self._states[i] = _SAME

    def list_changed(self) -> list[int]:
        """Return the rows that were met with another digest, as places in the order of `add`."""
        return self._list(_CHANGED)

    def list_unmet(self) -> list[int]:
        """Return the rows that were not met, as places in the order of `add`."""
        return self._list(_UNMET)

    def _iter_places(self, key: bytes) -> Iterator[int]:
        self._sort()
        high, low = _split(key)
        i = int(self._high.searchsorted(high))
        while i < self._used and self._high[i] == high:
            if self._low[i] == low:
                yield i
            i += 1

    def _list(self, state: int) -> list[int]:
        self._sort()
        assert self._order is not None
        return sorted(self._order[self._states == state].tolist())

    def _sort(self) -> None:
        if self._order is not None:
            return
        order = self._high.argsort()
        # One column after the other, so that only one is there twice.
        self._high = self._high[order]
        self._low = self._low[order]
        self._digests = self._digests[order]
        self._order = order.astype(np.uint32)
        self._states = np.zeros(len(order), np.uint8)


def _split(key: bytes) -> tuple[np.uint64, np.uint64]:
    return np.uint64(int.from_bytes(key[:8], "big")), np.uint64(int.from_bytes(key[8:], "big"))

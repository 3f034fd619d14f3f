"""Tells a prompt that was read before, and where: a table of 24 bytes per slot.

A dict from id to row name takes some 250 bytes per row; data sets of millions of rows are read on
machines whose memory is needed for models.
"""

from __future__ import annotations

from dfgen.errors import InputError
from dfgen.prompts.rows import name_row

_ID = 16
_SLOT = _ID + 8
_NUMBER_BITS = 40
_SHOWN = 10


class DuplicateFinder:
    """Remembers the first row of every prompt id. Open addressing, at most 2/3 full."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._capacity = 1 << 10
        self._table = bytearray(self._capacity * _SLOT)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, prompt_id: str, file: str, number: int) -> str | None:
        """Return the name of the earlier row with this id; None if this one is the first.

        Args:
            prompt_id: 32 hex digits.
            file: name of the row's file; rows of one file come one after the other.
            number: the row in its file, below 2**40.
        """
        first = self.find(prompt_id)
        if first is not None:
            return first
        key = bytes.fromhex(prompt_id)
        start = self._find(self._table, self._capacity, key)
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        # One more than the place, because zero marks an empty slot.
        packed = ((len(self._files) - 1) << _NUMBER_BITS | number) + 1
        self._table[start : start + _SLOT] = key + packed.to_bytes(8, "little")
        self._used += 1
        if self._used * 3 > self._capacity * 2:
            self._grow()
        return None

    def find(self, prompt_id: str) -> str | None:
        """Return the name of the row with this id; None if there was none."""
        key = bytes.fromhex(prompt_id)
        start = self._find(self._table, self._capacity, key)
        packed = int.from_bytes(self._table[start + _ID : start + _SLOT], "little")
        if not packed:
            return None
        first = packed - 1
        return name_row(self._files[first >> _NUMBER_BITS], first & ((1 << _NUMBER_BITS) - 1))

    @staticmethod
    def _find(table: bytearray, capacity: int, key: bytes) -> int:
        slot = int.from_bytes(key[:8], "little") & (capacity - 1)
        while True:
            start = slot * _SLOT
            if table[start : start + _ID] == key or not any(table[start + _ID : start + _SLOT]):
                return start
            slot = (slot + 1) & (capacity - 1)

    def _grow(self) -> None:
        capacity = self._capacity * 2
        table = bytearray(capacity * _SLOT)
        for old in range(0, len(self._table), _SLOT):
            entry = self._table[old : old + _SLOT]
            if any(entry[_ID:]):
                start = self._find(table, capacity, bytes(entry[:_ID]))
                table[start : start + _SLOT] = entry
        self._table, self._capacity = table, capacity


class RefusedDuplicates:
    """Duplicates of a source that may hold none: the first of them by name, and how many.

    Attributes:
        count: how many there are.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shown: list[str] = []

    def add(self, again: str, first: str) -> None:
        """Note a row that asks what an earlier one has asked, both by name."""
        self.count += 1
        if len(self._shown) < _SHOWN:
            self._shown.append(f"  {again} is equal to {first}")

    def explain(self) -> InputError:
        """Say which they are."""
        more = self.count - len(self._shown)
        listed = [*self._shown, *([f"  and {more:,} more"] if more else [])]
        rows = "1 row asks" if self.count == 1 else f"{self.count:,} rows ask"
        return InputError(
            f"{rows} what an earlier one does (question, choices, answer and pictures are equal):\n"
            + "\n".join(listed),
            hint="Take them away, or set prompts.on_duplicate: reject.",
        )

"""Defines the rows that a source hands on: as they stand there, or not readable at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source, nothing interpreted yet.

    Attributes:
        file: short name of the file or data set, without the folders that all files share.
        number: line (JSONL, CSV: counted from 1) or row (others: counted from 0) in `file`.
        values: column -> cell.
        folder: where relative picture paths start; None when the source has no folder.
    """

    file: str
    number: int
    values: dict[str, Any]
    folder: Path | None = None

    @property
    def where(self) -> str:
        """Name of the row for people and rejects: `file:number`."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that is not even a row: broken JSON, wrong number of cells, broken text."""

    file: str
    number: int
    detail: str

    @property
    def where(self) -> str:
        """Name of the row for people and rejects: `file:number`."""
        return f"{self.file}:{self.number}"


AnyRow = SourceRow | UnreadableRow

"""Defines the rows that a source hands on: as they stand there, or not readable at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


def name_row(file: str, number: int) -> str:
    """Name a row for people and rejects: `file:number`.

    One rule for all kinds of sources. In a text file (JSONL, CSV, TSV, compressed or not) the
    number is the line on which the row begins, counted from 1 as editors and `sed -n Np` do, empty
    lines and the header counted. Where there are no lines (Parquet, data sets, the demo) it is the
    row, counted from 0 as pandas, pyarrow and `datasets` do.
    """
    return f"{file}:{number}"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source, nothing interpreted yet.

    Attributes:
        file: short name of the file or data set, without the folders that all files share.
        number: line or row in `file`, see `name_row`.
        values: column -> cell.
        folder: where relative picture paths start; None when the source has no folder.
    """

    file: str
    number: int
    values: dict[str, Any]
    folder: Path | None = None

    @property
    def where(self) -> str:
        """Name of the row, see `name_row`."""
        return name_row(self.file, self.number)


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that is not even a row: broken JSON, wrong number of cells, broken text."""

    file: str
    number: int
    detail: str

    @property
    def where(self) -> str:
        """Name of the row, see `name_row`."""
        return name_row(self.file, self.number)


AnyRow = SourceRow | UnreadableRow

"""Counts the rows of a source, or estimates them from its size where counting takes long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfgen.config.prompts import PromptsConfig, SourceConfig
from dfgen.errors import InputError
from dfgen.prompts.files import find_files
from dfgen.prompts.folder import find_metadata
from dfgen.prompts.sources import ENDINGS
from dfgen.regular_files import open_for_arrow

_COUNTED = 32 << 20
"""Bytes of text files that are read to count their lines; of larger ones the rest is estimated."""


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows of a source, rejects included.

    Attributes:
        rows: how many.
        exact: whether they were counted.
    """

    rows: int
    exact: bool


def count_source_rows(config: SourceConfig) -> RowCount | None:
    """Count the rows that a run would read; None where only reading the source can tell.

    Raises:
        InputError: a file is not there or cannot be read.
    """
    found = _count(config)
    if config.limit is None:
        return found
    if found is None:
        return RowCount(config.limit, exact=False)
    return RowCount(min(found.rows, config.limit), found.exact or found.rows > 2 * config.limit)


def _count(config: SourceConfig) -> RowCount | None:
    if isinstance(config, PromptsConfig) and config.source == "demo":
        return RowCount(config.count, exact=True)
    if config.source == "datasets":
        return None
    if config.source == "parquet":
        return RowCount(sum(map(_read_footer, find_files(config.path, ENDINGS["parquet"]))), True)
    folder = config.source == "folder"
    files = [find_metadata(config)] if folder else find_files(config.path, ENDINGS[config.source])
    if any(file.suffix == ".gz" for file in files):
        return None
    return _count_lines(files)


def _read_footer(file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(open_for_arrow(file)).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the file cannot be read: {error}", where=str(file)) from error


def _count_lines(files: list[Path]) -> RowCount:
    """Lines that are not empty; the header of a CSV file is no row."""
    lines = counted = total = headers = 0
    for file in files:
        headers += file.suffix in (".csv", ".tsv")
        try:
            total += file.stat().st_size
            with file.open("rb") as stream:
                while counted < _COUNTED and (line := stream.readline(_COUNTED)):
                    counted += len(line)
                    lines += bool(line.strip())
        except OSError as error:
            raise InputError(f"the file cannot be read: {error}", where=str(file)) from error
    rows = max(lines - headers, 0)
    if counted >= total:
        return RowCount(rows, exact=not headers)  # a cell of CSV may hold line breaks
    return RowCount(round(rows * total / max(counted, 1)), exact=False)

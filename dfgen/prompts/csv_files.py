"""Reads CSV files row by row; the header names the columns, and every cell is text."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from dfgen.bounded_reads import iter_lines
from dfgen.config.prompts import SourceConfig
from dfgen.errors import InputError
from dfgen.prompts.columns import check_columns
from dfgen.prompts.files import check_each, explain_unreadable_file, find_files, name_files
from dfgen.prompts.formats import check_text_file
from dfgen.prompts.jsonl import explain_long_line
from dfgen.prompts.rows import AnyRow, SourceRow, UnreadableRow

ENDINGS = (".csv", ".csv.gz", ".tsv")

_DELIMITERS = (",", ";", "\t")


def read_csv(config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of all files; numbers are lines counted from 1.

    Cells are separated by commas, semicolons or tabs, whichever the header has most of.

    Raises:
        InputError: no file, a file that cannot be read, a column that is not there.
    """
    yield from read_csv_files(find_files(config.path, ENDINGS), config)


def read_csv_files(files: list[Path], config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of these files, after checking that each header names the columns.

    Raises:
        InputError: a file cannot be read, or lacks a column.
    """
    headers = check_each(lambda file: _read_header(file, config.max_row_bytes), files)
    check_columns(config, dict(zip(map(str, files), headers, strict=True)))
    for name, file in zip(name_files(files), files, strict=True):
        with _read_cells(file, config.max_row_bytes) as lines:
            yield from _read_lines(lines, next(lines, []), file, name)


def _read_header(file: Path, longest: int) -> list[str]:
    check_text_file(file)
    with _read_cells(file, longest) as lines:
        header: list[str] = next(lines, [])
    return header


@contextmanager
def _read_cells(file: Path, longest: int) -> Iterator[Any]:
    """Open a file and give a `csv.reader` of it."""
    try:
        with _open(file) as stream:
            delimiter = _find_delimiter(stream)
            bounded = _iter_lines(stream, longest, file)
            yield csv.reader(bounded, strict=True, delimiter=delimiter)
    except (OSError, EOFError, csv.Error) as error:
        raise explain_unreadable_file(file, error) from error


def _open(file: Path) -> TextIO:
    # Broken UTF-8 must cost its row, not the file: it becomes surrogates, which are looked for.
    how: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    if file.name.endswith(".gz"):
        return cast(TextIO, gzip.open(file, "rt", **how))
    return cast(TextIO, file.open(**how))


def _iter_lines(stream: TextIO, longest: int, file: Path) -> Iterator[str]:
    # A cell may go over many lines, so nobody knows where the row after a cut one begins.
    for number, line in enumerate(iter_lines(stream, longest, str(file)), start=1):
        if line is None:
            raise InputError(explain_long_line(longest) + ".", where=f"{file}:{number}")
        yield line


def _find_delimiter(stream: TextIO) -> str:
    header = stream.readline(1 << 20)
    stream.seek(0)
    return max(_DELIMITERS, key=header.count)


def _read_lines(lines: Any, header: list[str], file: Path, name: str) -> Iterator[AnyRow]:
    while True:
        # A cell may hold line breaks: a row is named by its first line.
        number = lines.line_num + 1
        try:
            cells = next(lines)
            for cell in cells:
                cell.encode()
        except StopIteration:
            return
        except (csv.Error, UnicodeEncodeError) as error:
            yield UnreadableRow(name, number, f"not a line of CSV in UTF-8: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            detail = f"the line has {len(cells)} cells, the header {len(header)}"
            yield UnreadableRow(name, number, detail)
            continue
        values = {column: cell or None for column, cell in zip(header, cells, strict=True)}
        yield SourceRow(name, number, values, file.parent)

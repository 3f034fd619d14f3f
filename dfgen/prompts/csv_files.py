"""Reads CSV files row by row; the header names the columns, and every cell is text."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from dfgen.config.prompts import SourceConfig
from dfgen.errors import InputError
from dfgen.prompts.bounded_reads import iter_lines
from dfgen.prompts.columns import check_columns
from dfgen.prompts.files import explain_unreadable_file, find_files, name_files
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
    files = find_files(config.path, ENDINGS)
    for name, file in zip(name_files(files), files, strict=True):
        yield from read_csv_file(file, name, config)


def read_csv_file(file: Path, name: str, config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of one file.

    Args:
        file: with a header.
        name: by which its rows are named.
        config: the columns that it must have.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    check_text_file(file)
    try:
        with _open(file) as stream:
            delimiter = _find_delimiter(stream)
            bounded = _iter_lines(stream, config.max_row_bytes, file)
            lines = csv.reader(bounded, strict=True, delimiter=delimiter)
            header = next(lines, [])
            check_columns(config, header, str(file))
            yield from _read_lines(lines, header, file, name)
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

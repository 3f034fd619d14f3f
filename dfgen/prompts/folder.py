"""Reads a folder of pictures with a metadata.jsonl or metadata.csv, as ImageFolder has it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfgen.config.prompts import SourceConfig
from dfgen.errors import InputError
from dfgen.prompts.bounded_reads import iter_lines
from dfgen.prompts.columns import check_columns
from dfgen.prompts.files import explain_unreadable_file
from dfgen.prompts.jsonl import explain_long_line, read_jsonl_files
from dfgen.prompts.rows import AnyRow, SourceRow, UnreadableRow

_METADATA = ("metadata.jsonl", "metadata.csv")


def read_folder(config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of the folder's metadata file; numbers are lines counted from 1.

    Raises:
        InputError: no folder, no or two metadata files, a file that cannot be read, a column that
            is not there.
    """
    file = find_metadata(config)
    if file.suffix == ".jsonl":
        yield from read_jsonl_files([file], config)
    else:
        yield from _read_csv(file, config)


def find_metadata(config: SourceConfig) -> Path:
    """Return the metadata file of the folder.

    Raises:
        InputError: there is not exactly one.
    """
    folder = Path(str(config.path)).expanduser()
    if not folder.is_dir():
        raise InputError("there is no such folder.", where=str(config.path))
    files = [folder / name for name in _METADATA if (folder / name).is_file()]
    if len(files) == 1:
        return files[0]
    if files:
        raise InputError(
            "the folder holds both metadata.jsonl and metadata.csv.",
            where=str(folder),
            hint="Take one of them away.",
        )
    below = sorted({file.parent for name in _METADATA for file in folder.rglob(name)})
    hint = "It lists the pictures: one line each, with file_name, question and answer."
    if below:
        hint = "Name one of the folders that have one: " + ", ".join(map(str, below[:10])) + "."
    raise InputError(
        "the folder holds no metadata.jsonl or metadata.csv.", where=str(folder), hint=hint
    )


def _read_csv(file: Path, config: SourceConfig) -> Iterator[AnyRow]:
    try:
        # Broken UTF-8 must cost its row, not the file: it becomes surrogates, which are looked for.
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            lines = csv.reader(_iter_lines(stream, config, file), strict=True)
            header = next(lines, [])
            check_columns(config, header, str(file))
            yield from _read_lines(lines, header, file)
    except (OSError, csv.Error) as error:
        raise explain_unreadable_file(file, error) from error


def _iter_lines(stream: Any, config: SourceConfig, file: Path) -> Iterator[str]:
    # A cell may go over many lines, so nobody knows where the row after a cut one begins.
    for number, line in enumerate(iter_lines(stream, config.max_row_bytes, str(file)), start=1):
        if line is None:
            raise InputError(
                explain_long_line(config.max_row_bytes) + ".", where=f"{file}:{number}"
            )
        yield line


def _read_lines(lines: Any, header: list[str], file: Path) -> Iterator[AnyRow]:
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
            yield UnreadableRow(file.name, number, f"not a line of CSV in UTF-8: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            detail = f"the line has {len(cells)} cells, the header {len(header)}"
            yield UnreadableRow(file.name, number, detail)
            continue
        values = {name: cell or None for name, cell in zip(header, cells, strict=True)}
        yield SourceRow(file.name, number, values, file.parent)

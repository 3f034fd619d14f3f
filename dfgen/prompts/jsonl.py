"""Reads JSON Lines files, plain or gzip-compressed, row by row."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from dfgen.bounded_reads import iter_lines
from dfgen.config.prompts import SourceConfig
from dfgen.errors import InputError
from dfgen.prompts.columns import (
    MISSING,
    explain_missing_columns,
    find_value,
    list_named_columns,
    list_names,
)
from dfgen.prompts.files import check_each, explain_unreadable_file, find_files, name_files
from dfgen.prompts.formats import check_json_lines
from dfgen.prompts.rows import AnyRow, SourceRow, UnreadableRow

ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson")


def read_jsonl(config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of all files; numbers are lines counted from 1, empty lines are no rows.

    Raises:
        InputError: no file, a file that cannot be read, a column that no row has.
    """
    files = find_files(config.path, ENDINGS)
    yield from read_jsonl_files(files, config)


def read_jsonl_files(files: list[Path], config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of these files, after checking that the named columns occur in some row."""
    check_each(check_json_lines, files)
    _check_columns(files, config)
    for name, file in zip(name_files(files), files, strict=True):
        yield from _read_file(file, name, config.max_row_bytes)


def _check_columns(files: list[Path], config: SourceConfig) -> None:
    # Rows may leave out a column, so only a column that no row has is missing. The reading stops
    # as soon as every column was seen, with most files in the first line.
    named = list_named_columns(config.columns)
    missing, seen, rows = dict(named), dict[str, None](), 0
    for file in files:
        for row in _read_file(file, file.name, config.max_row_bytes):
            if isinstance(row, UnreadableRow):
                continue
            rows += 1
            found = [name for name in missing if find_value(row.values, name) is not MISSING]
            for name in found:
                del missing[name]
            if not missing:
                return
            seen.update(dict.fromkeys(list_names(row.values)))
    if rows:
        where = str(files[0]) if len(files) == 1 else f"{len(files)} files"
        raise explain_missing_columns({where: missing}, list(seen))


def _read_file(file: Path, name: str, longest: int) -> Iterator[AnyRow]:
    number = 0
    try:
        with _open(file) as stream:
            for number, line in enumerate(iter_lines(stream, longest, str(file)), start=1):
                if line is None:
                    yield UnreadableRow(name, number, explain_long_line(longest))
                    continue
                if not line.strip():
                    continue
                if number == 1 and line.lstrip(b"\xef\xbb\xbf \t").startswith(b"["):
                    raise InputError(
                        "the file is one JSON array, not JSON Lines.",
                        where=str(file),
                        hint=f"Convert it: jq -c '.[]' {file.name} > rows.jsonl",
                    )
                row = _parse(line)
                if isinstance(row, str):
                    yield UnreadableRow(name, number, row)
                else:
                    yield SourceRow(name, number, row, file.parent)
    except (OSError, EOFError, zlib.error) as error:
        raise explain_unreadable_file(file, error, number + 1 if number else None) from error


def explain_long_line(longest: int) -> str:
    """Say what is wrong with a line that is too long."""
    return f"the line has more than {longest:,} bytes (max_row_bytes)"


def _open(file: Path) -> BinaryIO:
    if file.name.endswith(".gz"):
        return cast(BinaryIO, gzip.open(file, "rb"))
    return file.open("rb")


def _parse(line: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if b"\\u" in line:
            # Half of a surrogate pair passes json.loads and breaks everything after it.
            json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return f"not a line of JSON: {error.msg}, at its character {error.pos + 1:,}"
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"
    return row if isinstance(row, dict) else f"not a JSON object but a {type(row).__name__}"

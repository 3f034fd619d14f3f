"""Reads a folder of pictures with a metadata.jsonl or metadata.csv, as ImageFolder has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dfgen.config.prompts import SourceConfig
from dfgen.errors import InputError
from dfgen.prompts.csv_files import read_csv_files
from dfgen.prompts.jsonl import read_jsonl_files
from dfgen.prompts.rows import AnyRow

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
        yield from read_csv_files([file], config)


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

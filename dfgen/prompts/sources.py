"""Chooses the reader of a source, and describes the source for the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dfgen.config.prompts import PromptsConfig, SourceConfig
from dfgen.errors import InputError
from dfgen.prompts import csv_files, jsonl, parquet
from dfgen.prompts.demo_scenes import read_demo
from dfgen.prompts.files import describe_files, find_files
from dfgen.prompts.folder import find_metadata, read_folder
from dfgen.prompts.hub import describe_hub, read_hub
from dfgen.prompts.rows import AnyRow

ENDINGS = {"parquet": parquet.ENDINGS, "jsonl": jsonl.ENDINGS, "csv": csv_files.ENDINGS}
"""Of a source that is files: how their names end where a folder is given."""


def read_rows(config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of a source in its order, at most `config.limit` of them.

    Raises:
        InputError: the source cannot be opened or read on, has no rows, or lacks a column.
    """
    empty = True
    for row in islice(_open(config), config.limit):
        empty = False
        yield row
    if empty:
        raise InputError("the data set is empty: it has no rows.", where=str(config.path))


def _open(config: SourceConfig) -> Iterator[AnyRow]:
    if isinstance(config, PromptsConfig) and config.source == "demo":
        return read_demo(config)
    if config.source == "parquet":
        return parquet.read_parquet(config)
    if config.source == "jsonl":
        return jsonl.read_jsonl(config)
    if config.source == "csv":
        return csv_files.read_csv(config)
    if config.source == "folder":
        return read_folder(config)
    return read_hub(config)


def list_folders(config: SourceConfig) -> set[Path]:
    """List the folders in which relative picture paths of a source are looked for.

    Raises:
        InputError: the source is not there.
    """
    if config.image_root is not None:
        return {Path(config.image_root).expanduser()}
    if config.source == "folder":
        return {find_metadata(config).parent}
    if config.source in ENDINGS:
        return {file.parent for file in find_files(config.path, ENDINGS[config.source])}
    if config.source == "datasets":
        local = Path(str(config.path)).expanduser()
        return {local if local.is_dir() else Path()}
    return set()


def describe_rows(config: SourceConfig) -> dict[str, Any]:
    """Return what identifies the source: JSON-able, `source` and then what the kind has.

    parquet, jsonl, csv, folder: `path` and `files` (see `describe_files`; of a folder the metadata
    file, because the pictures' hashes are in the prompt ids). datasets: `files` of a local one,
    `commit` of one on the Hub. demo: `count` and `seed`.

    Raises:
        InputError: the source is not there or cannot be read.
    """
    described: dict[str, Any] = {"source": config.source}
    if isinstance(config, PromptsConfig) and config.source == "demo":
        return {**described, "count": config.count, "seed": config.seed}
    if config.source == "datasets":
        return {**described, **describe_hub(config)}
    if config.source == "folder":
        files = [find_metadata(config)]
    else:
        files = find_files(config.path, ENDINGS[config.source])
    return {**described, "path": config.path, "files": describe_files(files)}

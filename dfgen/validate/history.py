"""Reads what was set aside of the repair stage: its requests still count towards the limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.records import Reject
from dfgen.store.journal import Journal
from dfgen.store.journal_files import list_files, parse_name
from dfgen.store.layout import BESIDE, JOURNAL, OUTPUTS, REJECTS, TABLES
from dfgen.store.redoing import advise_history, list_history
from dfgen.store.shards import ShardTable

if TYPE_CHECKING:
    from dfgen.store.run import Run

_STAGE = "repair"


def check_history(run: Run) -> Iterator[str]:
    """Find the files that keep a run from counting what it has spent, a sentence each.

    No checksum of them is kept, so they are read to their end. Files that were damaged when they
    were set aside bear another name and are no longer looked at.

    Raises:
        StorageError: a folder cannot be listed.
    """
    for folder in list_history(run):
        for path, what in _find_damaged(folder):
            yield f"{path}: was set aside and is damaged: {what} {advise_history(folder)}"


def _list_journals(folder: Path) -> list[tuple[Path, int]]:
    named = map(parse_name, folder.iterdir() if folder.is_dir() else ())
    shards = sorted({found[1] for found in named if found is not None and found[0] == _STAGE})
    return [(path, shard) for shard in shards for path in list_files(folder, _STAGE, shard)]


def _find_damaged(folder: Path) -> Iterator[tuple[Path, str]]:
    names = (OUTPUTS[_STAGE], *BESIDE[_STAGE])
    rejects = ShardTable(folder / REJECTS, Reject, prefix=_STAGE)
    for table in (*(ShardTable(folder / name, TABLES[name]) for name in names), rejects):
        for shard in table.shards():
            try:
                table.verify(shard)
                if table is rejects:
                    _read_evidence(table, shard)
            except StorageError as error:
                yield table.path(shard), error.what
            except (ValueError, AttributeError) as error:
                yield table.path(shard), f"its evidence is not JSON: {error}."
    for path, shard in _list_journals(folder / JOURNAL):
        try:
            for _ in Journal(path, stage=_STAGE, shard=shard).replay():
                pass
        except StorageError as error:
            yield path, error.what


def _read_evidence(rejects: ShardTable, shard: int) -> None:
    for row in rejects.iter_rows(shard, ["evidence"]):
        json.loads(row["evidence"]).get("attempts")

"""Finds which requests of a run have an answer on record, finished or not, by their names."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dfgen.stages.repair.spending import RepairFiles, list_shards

if TYPE_CHECKING:
    from dfgen.store.run import Run

_NAME = re.compile(r"(.+)_([rcn])(\d+)(?:-[0-9a-f]{16})?")

Place = tuple[str, str, int]
"""trajectory_id, first letter of the purpose, index."""


def find_answered(run: Run, names: Collection[str]) -> set[str]:
    """Return those of some requests that have an answer on record.

    Args:
        names: as `dfgen.stages.repair.requests.write_name` writes them. Of a test of necessity its
            hunk is compared, and not the text that was sent, which files do not hold.

    Raises:
        StorageError: a file cannot be read.
    """
    wanted: dict[Place, list[str]] = {}
    for name in names:
        if (place := find_place(name)) is not None:
            wanted.setdefault(place, []).append(name)
    keys = {place[0] for place in wanted}
    files = RepairFiles(run.root)
    found: set[str] = set()
    for shard in list_shards(files):
        for place in _iter_places(files, shard, keys):
            found.update(wanted.get(place, ()))
    return found


def find_place(name: str) -> Place | None:
    """Return what the name of a request says of it; None where it is no such name."""
    match = _NAME.fullmatch(name)
    return match and (match[1], match[2], int(match[3]))


def _iter_places(files: RepairFiles, shard: int, keys: set[str]) -> Iterator[Place]:
    repairs, rejects, controls = files.tables
    if repairs.exists(shard):
        columns = ["trajectory_id", "attempts", "necessity"]
        for row in repairs.iter_rows(shard, columns):
            if (key := row["trajectory_id"]) in keys:
                yield from _name_attempts(key, row["attempts"])
                tests = (entry["attempt"] for entry in row["necessity"] or ())
                yield from ((key, "n", test["index"]) for test in tests if test is not None)
    if rejects.exists(shard):
        for row in rejects.iter_rows(shard, ["row_id", "evidence"]):
            if row["row_id"] in keys:
                yield from _name_attempts(
                    row["row_id"], json.loads(row["evidence"]).get("attempts", ())
                )
    if controls.exists(shard):
        for row in controls.iter_rows(shard, ["trajectory_id", "attempt"]):
            yield row["trajectory_id"], "c", row["attempt"]["index"]
    journal = files.journal(shard)
    if journal.exists():
        for entry in journal.replay():
            yield entry["trajectory_id"], entry["purpose"][0], entry["attempt"]["index"]


def _name_attempts(key: str, attempts: Collection[Mapping[str, Any]]) -> Iterator[Place]:
    return ((key, "r", int(attempt["index"])) for attempt in attempts)

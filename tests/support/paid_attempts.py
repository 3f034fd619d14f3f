"""Lists all that a run has on record of requests to its repairer, read row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dfgen.stages.repair.spending import RepairFiles, iter_journalled
from dfgen.store.run import Run


def iter_attempts(run: Run) -> Iterator[Mapping[str, Any]]:
    """Yield every attempt: of repairs and their hunks, refused trajectories, controls, journals."""
    files = RepairFiles(run.root)
    repairs, rejects, controls = files.tables
    for row in repairs.iter_rows(columns=["attempts", "necessity"]):
        yield from row["attempts"]
        tests = (entry["attempt"] for entry in row["necessity"] or ())
        yield from (attempt for attempt in tests if attempt is not None)
    for row in rejects.iter_rows(columns=["evidence"]):
        yield from json.loads(row["evidence"]).get("attempts", ())
    for row in controls.iter_rows(columns=["attempt"]):
        yield row["attempt"]
    for stage, shard in run.list_journals():
        if stage == "repair":
            yield from iter_journalled(files, shard)

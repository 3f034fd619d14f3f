"""Reads the teacher's prompts of `dfgen export --to privileged`, to join them to stored answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfgen.errors import InputError
from dfgen.regular_files import open_for_arrow

COLUMNS = ("trajectory_id", "teacher_prompt", "teacher_images")


def read_contexts(data: str | Path) -> dict[str, dict[str, Any]]:
    """Read `{trajectory_id: {"teacher_prompt": str, "teacher_images": list | None}}`.

    The texts of all rows are in memory; pictures are where a row has its own for the teacher.

    Raises:
        InputError: no such file, or one without these columns.
    """
    import pyarrow.parquet as pq

    path = Path(data).expanduser()
    files = sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        if not file.is_file() or not set(COLUMNS) <= set(
            pq.read_schema(open_for_arrow(file)).names
        ):
            raise InputError(
                "this holds no teacher's prompts.",
                where=str(file),
                hint="Write them with: dfgen export RUN --to privileged --out DIR",
            )
        for batch in pq.ParquetFile(
            open_for_arrow(file), page_checksum_verification=True
        ).iter_batches(1024, columns=list(COLUMNS)):
            for row in batch.to_pylist():
                found[row.pop("trajectory_id")] = row
    if not found:
        raise InputError("there are no teacher's prompts here.", where=str(path))
    return found

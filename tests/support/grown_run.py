"""A run of very many trajectories: a small one whose shards stand there many times, renamed.

    root = grow_run(make_run(tmp_path / "run", prompts=250, samples=8), 100_000)

Every copy has ids of its own, so nothing of it repeats for a reader; drawing and repairing as many
would take hours, and the files would say the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.store.finished import open_finished
from dfgen.store.parquet import make_writer_options

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.shards import ShardTable

DIGITS = 6
"""Of an id, the first ones say which copy it is of."""
IDS = ("prompt_id", "trajectory_id", "row_id", "copy_of")


def grow_run(root: Path, trajectories: int) -> Path:
    """Add copies of the shards of a run, in place, until it has so many trajectories."""
    run = open_finished(root).run
    masks = run.table("masks")
    shards = masks.shards()
    size = sum(map(masks.num_rows, shards))
    tables = [run.table(name) for name in ("prompts", "trajectories", "repairs", "masks")]
    tables += [run.rejects("repair")]
    total, copy = size, 0
    while total < trajectories:
        copy += 1
        for shard in shards:
            if total >= trajectories:
                break
            total += masks.num_rows(shard)
            for table in tables:
                _copy_shard(table, shard, shard + copy * (shards[-1] + 1), copy)
    return root


def _copy_shard(table: ShardTable, source: int, target: int, copy: int) -> None:
    import pyarrow.parquet as pq

    if table.exists(source):
        rows = _rename(pq.read_table(table.path(source)), copy)
        pq.write_table(rows, table.path(target), **make_writer_options(rows.schema))


def _rename(rows: pa.Table, copy: int) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in IDS:
        place = rows.schema.get_field_index(name)
        if place >= 0:
            column = pc.utf8_replace_slice(rows.column(place), 0, DIGITS, f"{copy:0{DIGITS}x}")
            rows = rows.set_column(place, rows.schema.field(place), column.cast(pa.string()))
    return rows

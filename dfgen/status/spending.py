"""Adds up what the repairs of a run have cost, from the columns that hold costs alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.errors import StorageError
from dfgen.stages.repair.spending import (
    RepairFiles,
    explain_history,
    iter_journalled_in,
    list_journalled,
)
from dfgen.store.redoing import list_history

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable


@dataclass
class Spending:
    """Requests to the repairer and dollars so far, and the limits that the run was given."""

    requests: int = 0
    cost_usd: float = 0.0
    max_requests: int | None = None
    max_cost_usd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def measure_spending(run: Run) -> Spending:
    """Measure what is on record: of repairs, refused answers, controls, and open shards' journals.

    What was set aside to be made anew counts, too, as it does towards the limits.

    Raises:
        StorageError: a file cannot be read.
    """
    limits = run.manifest.pipeline.get("repair") or {}
    found = Spending(
        max_requests=limits.get("max_requests"), max_cost_usd=limits.get("max_cost_usd")
    )
    _add_files(found, RepairFiles(run.root))
    for root in list_history(run):
        with explain_history(root):
            _add_files(found, RepairFiles(root))
    return found


def _add_files(found: Spending, files: RepairFiles) -> None:
    repairs, rejects, controls = files.tables
    for table in (repairs, controls):
        for shard in table.shards():
            _add(found, _read_costs(table, shard))
    for shard in rejects.shards():
        for row in rejects.iter_rows(shard, ["evidence"]):
            attempts = json.loads(row["evidence"]).get("attempts", ())
            _add(found, [attempt["cost_usd"] for attempt in attempts])
    for shard in list_journalled(files):
        _add(found, [attempt["cost_usd"] for attempt in iter_journalled_in(files, shard)])


def _add(found: Spending, costs: list[float]) -> None:
    found.requests += len(costs)
    found.cost_usd += sum(costs)


def _read_costs(table: ShardTable, shard: int) -> list[float]:
    """The cost of every attempt of a shard, whatever it is nested in."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = table.path(shard)
    try:
        with table.open_parts(shard) as source, pq.ParquetFile(source) as file:
            leaves = [file.schema.column(i).path for i in range(len(file.schema))]
            wanted = [name for name in leaves if "." in name and name.endswith(".cost_usd")]
            if not wanted:
                return []
            columns = file.read(columns=wanted).columns
    except (OSError, pa.ArrowException) as error:
        if not table.exists(shard):  # written anew since it was listed
            return []
        raise StorageError(f"cannot be read: {error}.", where=str(path)) from None
    return [cost for column in columns for chunk in column.chunks for cost in _flatten(chunk)]


def _flatten(array: pa.Array) -> list[float]:
    import pyarrow as pa

    if pa.types.is_list(array.type):
        return _flatten(array.flatten())
    if pa.types.is_struct(array.type):
        return [cost for child in array.flatten() for cost in _flatten(child)]
    return [cost for cost in array.to_pylist() if cost is not None]

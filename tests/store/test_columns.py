"""Files of before a nullable column was added are read with nulls; other changes are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.errors import DamagedFileError
from dfgen.records import Repair, Trajectory
from dfgen.store.arrow_schema import arrow_schema
from dfgen.store.columns import fill_in, find_mismatch
from dfgen.store.shards import ShardTable
from tests.store.examples import make_repair, make_trajectory


def rewrite(path: Path, table: pa.Table) -> None:
    pq.write_table(table.replace_schema_metadata(pq.read_schema(path).metadata), path)


def drop_nested(column: pa.Array, name: str) -> pa.Array:
    """A list of structs without one of the structs' fields."""
    values = column.values
    fields = [field for field in values.type if field.name != name]
    structs = pa.StructArray.from_arrays(
        [values.field(field.name) for field in fields], fields=fields
    )
    return pa.ListArray.from_arrays(column.offsets, structs)


def test_nullable_columns_that_a_file_lacks_are_null(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Repair)
    rows = [make_repair("a", 0), make_repair("a", 1)]
    table.write(0, rows)
    written = list(table.iter_rows(0))
    rewrite(table.path(0), pq.read_table(table.path(0)).drop_columns(["copy_of", "necessity"]))
    expected = [{**row, "copy_of": None, "necessity": None} for row in written]
    assert list(table.iter_rows(0)) == expected
    assert table.read(0).to_pylist() == expected
    assert [row["copy_of"] for row in table.iter_rows(0, ["trajectory_id", "copy_of"])] == [
        None
    ] * 2


@pytest.mark.parametrize("column", ["repair", "attempts", "model"])
def test_other_columns_may_not_be_missing(tmp_path: Path, column: str) -> None:
    table = ShardTable(tmp_path, Repair)
    table.write(0, [make_repair("a", 0)])
    rewrite(table.path(0), pq.read_table(table.path(0)).drop_columns([column]))
    with pytest.raises(DamagedFileError, match=f"the column {column} is missing"):
        list(table.iter_rows(0))


def test_unknown_and_changed_columns_are_named(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", 0)])
    before = pq.read_table(table.path(0))
    rewrite(table.path(0), before.append_column("mood", pa.array(["good"])))
    with pytest.raises(DamagedFileError, match="the column mood is unknown"):
        list(table.iter_rows(0))
    index = before.schema.get_field_index("reward")
    rewrite(table.path(0), before.set_column(index, "reward", pa.array(["1.0"])))
    with pytest.raises(DamagedFileError, match="the column reward is string, not float"):
        list(table.iter_rows(0))


def test_a_newer_record_says_to_update(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", 0)])
    content = pq.read_table(table.path(0))
    pq.write_table(
        content.replace_schema_metadata({"dfgen.schema": "dfgen.trajectory/999"}), table.path(0)
    )
    with pytest.raises(DamagedFileError, match=r"dfgen\.trajectory/999") as caught:
        list(table.iter_rows(0))
    assert "newer dfgen" in str(caught.value)


@pytest.mark.parametrize("cut", [(0, 3), (1, 2)])
def test_fields_inside_of_lists_are_filled_in_too(cut: tuple[int, int]) -> None:
    """An attempt has gained a column: old lists of attempts, slices among them, are still read."""
    element = pa.struct([pa.field("index", pa.int32(), nullable=False), ("note", pa.string())])
    wanted = pa.schema([("attempts", pa.list_(element)), ("new", pa.list_(pa.float32()))])
    rows = [
        [{"index": 1, "note": "a"}],
        None,
        [{"index": 2, "note": "b"}, {"index": 3, "note": ""}],
    ]
    full = pa.array(rows, pa.list_(element))
    old = pa.RecordBatch.from_arrays([drop_nested(full, "note")], names=["attempts"])
    old = old.slice(*cut)
    assert find_mismatch(old.schema, wanted) is None
    filled = fill_in(old, wanted).to_pylist()
    # drop_nested turns the null list into an empty one.
    expected = [[{**item, "note": None} for item in row or ()] for row in rows][cut[0] :]
    assert filled == [{"attempts": row, "new": None} for row in expected[: cut[1]]]


def test_an_equal_schema_costs_nothing() -> None:
    schema = arrow_schema(Trajectory)
    batch = pa.RecordBatch.from_pylist([make_trajectory("a", 0).model_dump()], schema=schema)
    assert fill_in(batch, schema) is batch
